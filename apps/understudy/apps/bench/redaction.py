"""Suite `redaction`: what is found of labelled identifiers, what leaks, what comes back, how fast."""

from __future__ import annotations

import random
import re
import secrets
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # type: ignore[import-untyped]

from understudy.apps.folder import read_lines
from understudy.privacy.redaction import Found, Redactor, Vaults

__all__ = ["measure_redaction"]

PATTERNED = {
    "CREDIT_CARD": "CARD", "PHONE_NUMBER": "PHONE", "US_SSN": "NATIONAL_ID", "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN", "IP_ADDRESS": "IP", "DOMAIN_NAME": "URL",
}  # fmt: skip
"""Labels of identifiers with a pattern, and our types of them."""
OURS = frozenset({*PATTERNED.values(), "ACCOUNT", "RECORD_NUMBER", "BIRTH_DATE", "AGE"})
REPLIES = 1000
NUMBER = re.compile(r"(?<![\w.,])\d[\d,]*(?:\.\d+)?")


def measure_redaction(data: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Everything with the redactor as it ships: no model, no dictionary, no pattern of an owner.

    A labelled span counts as found when every letter and digit of it is replaced, whatever the placeholder's type;
    a find counts as right when at least half of its letters and digits are labelled.
    """
    redactor = Redactor()
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as room:
        vaults = Vaults(Path(room) / "privacy.sqlite", secrets.token_bytes(32))
        figures = {
            "presidio_pii synth_v2": labelled(redactor, data, "synth_v2", limit),
            "presidio_pii generated_large (developed on)": labelled(redactor, data, "generated_large", limit),
            "pupa": private(redactor, vaults, data, limit),
            "restored": restored(redactor, vaults, data, min(limit or REPLIES, REPLIES), seed),
            "tatqa": numbers_kept(redactor, data, limit),
            "speed": speed(redactor, vaults, data, limit),
        }
        vaults.close()
    return figures


def labelled(redactor: Redactor, data: Path, split: str, limit: int | None) -> dict[str, Any]:
    """Recall and precision on labelled sentences, by label."""
    records = list(read_lines(data / "presidio_pii" / f"spans.{split}.jsonl.gz"))[:limit]
    gold: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    finds: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for record in records:
        text, spans, found = record["text"], record["spans"], redactor.find(record["text"])
        covered = positions(text, ((f.start, f.end) for f in found))
        marked = positions(text, ((s["start"], s["end"]) for s in spans))
        for span in spans:
            gold[span["type"]] += 1
            hit[span["type"]] += positions(text, [(span["start"], span["end"])]) <= covered
        for find in found:
            place = positions(text, [(find.start, find.end)])
            finds[find.type] += 1
            right[find.type] += 2 * len(place & marked) >= len(place)
    return {
        "sentences": len(records),
        "identifiers with a pattern": shares(hit, gold, PATTERNED, right, finds, OURS),
        "all types": shares(hit, gold, gold, right, finds, finds),
        "labels": [{"label": k, "spans": gold[k], "recall": ratio(hit[k], gold[k])} for k in sorted(gold)],
        "types": [{"type": k, "finds": finds[k], "precision": ratio(right[k], finds[k])} for k in sorted(finds)],
    }


def positions(text: str, spans: Iterable[tuple[int, int]]) -> set[int]:
    """Where the letters and digits of spans are."""
    return {i for start, end in spans for i in range(start, end) if text[i].isalnum()}


def shares(
    hit: Mapping[str, int], gold: Mapping[str, int], labels: Iterable[str],
    right: Mapping[str, int], finds: Mapping[str, int], types: Iterable[str],
) -> dict[str, float | None]:  # fmt: skip
    """Recall over labels and precision over types."""
    labels, types = set(labels), set(types)
    return {
        "recall": ratio(sum(hit[k] for k in labels), sum(gold[k] for k in labels)),
        "precision": ratio(sum(right[k] for k in types), sum(finds[k] for k in types)),
    }


def ratio(part: int, whole: int) -> float | None:
    """A share; `None` of nothing."""
    return part / whole if whole else None


def private(redactor: Redactor, vaults: Vaults, data: Path, limit: int | None) -> dict[str, Any]:
    """Of requests to an assistant: private units that still stand in what would go out, and other words that do.

    A unit stands there if the text without placeholders holds it as a substring, whatever its case.
    """
    left = units = kept = words = 0
    for record in list(read_lines(data / "pupa" / "queries.dev.jsonl.gz"))[:limit]:
        query, secret = record["query"], [unit.lower() for unit in record["private"] if unit.strip()]
        out = redactor.redact(query, vaults.of("pupa", record["id"])).text
        plain = re.sub("⟦[A-Z_]+_[0-9]+⟧", "\0", out).lower()
        units += len(secret)
        left += sum(unit in plain for unit in secret)
        hidden = set(re.findall(r"\w+", " ".join(secret)))
        before = Counter(w for w in content_words(query) if w not in hidden)
        after = Counter(content_words(plain))
        words += before.total()
        kept += (before & after).total()
    return {"private units": units, "left": ratio(left, units), "other words": words, "kept": ratio(kept, words)}


def content_words(text: str) -> list[str]:
    """Words that carry meaning, small."""
    return [w for w in re.findall(r"[^\W\d_]+", text.lower()) if w not in ENGLISH_STOP_WORDS and len(w) > 2]


FORMS: Sequence[tuple[str, Callable[[str, str], str], Callable[[str], str]]] = (
    ("as sent", lambda p, _: p, lambda v: v),
    ("possessive", lambda p, _: f"{p}'s office", lambda v: f"{v}'s office"),
    ("possessive inside", lambda p, n: f"⟦{n}'s⟧ office", lambda v: f"{v}'s office"),
    ("plural", lambda p, _: f"both {p}s", lambda v: f"both {v}s"),
    ("quoted", lambda p, _: f'"{p}"', lambda v: f'"{v}"'),
    ("bold", lambda p, _: f"**{p}**", lambda v: f"**{v}**"),
    ("code", lambda p, _: f"`{p}`", lambda v: f"`{v}`"),
    ("list item", lambda p, _: f"1. {p};", lambda v: f"1. {v};"),
    ("table cell", lambda p, _: f"| {p} |", lambda v: f"| {v} |"),
    ("in parentheses", lambda p, n: f"({n})", lambda v: f"({v})"),
    ("square brackets", lambda p, n: f"[{n}]", lambda v: v),
    ("double brackets", lambda p, n: f"[[{n}]]", lambda v: v),
    ("other brackets", lambda p, n: f"〚{n}〛", lambda v: v),
    ("angle brackets", lambda p, n: f"<{n}>", lambda v: v),
    ("no brackets", lambda p, n: n, lambda v: v),
    ("no brackets, possessive", lambda p, n: f"{n}'s", lambda v: f"{v}'s"),
    ("small letters", lambda p, n: f"⟦{n.lower()}⟧", lambda v: v),
    ("words", lambda p, n: n.replace("_", " ").capitalize(), lambda v: v),
    ("hyphen", lambda p, n: n.replace("_", "-"), lambda v: v),
    ("spaces inside", lambda p, n: f"⟦ {n} ⟧", lambda v: v),
    ("Markdown escapes", lambda p, n: rf"\[{n.replace('_', chr(92) + '_')}\]", lambda v: v),
    ("HTML", lambda p, n: f"&lobrk;{n}&robrk;", lambda v: v),
    ("HTML by number", lambda p, n: f"&#10214;{n}&#10215;", lambda v: v),
    ("JSON escapes", lambda p, n: rf"\u27e6{n}\u27e7", lambda v: v),
    ("percent escapes", lambda p, n: f"%E2%9F%A6{n}%E2%9F%A7", lambda v: v),
    ("one bracket lost", lambda p, n: f"⟦{n}", lambda v: v),
)
"""What experts do to a placeholder: a name, what is written for it, and what should come back for its value."""


def restored(redactor: Redactor, vaults: Vaults, data: Path, replies: int, seed: int) -> dict[str, Any]:
    """Replies of one to four lines, each with a placeholder of the thread in some form, in any order."""
    rng = random.Random(seed)
    texts = [r["text"] for r in read_lines(data / "presidio_pii" / "spans.generated_large.jsonl.gz")]
    right: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for number in range(replies):
        vault = vaults.of("replies", str(number))
        known: list[Found] = []
        while not known:
            text = "\n".join(rng.sample(texts, 4))
            known = [f for f in redactor.find(text) if "\n" not in f.text]
            redactor.redact(text, vault)
        lines = []
        for one in rng.choices(known, k=rng.randint(1, 4)):
            (placeholder,) = vault.assign([(one.type, one.text)])
            form = rng.choice(FORMS)
            lines.append((form[0], f"Then {form[1](placeholder, placeholder[1:-1])}.", f"Then {form[2](one.text)}."))
        back = redactor.restore("\n".join(line for _, line, _ in lines), vault).split("\n")
        for (name, _, expected), line in zip(lines, back, strict=True):
            told[name] += 1
            right[name] += line == expected
    rows = [{"form": name, "values": told[name], "restored": ratio(right[name], told[name])} for name, _, _ in FORMS]
    return {"replies": replies, "values": told.total(), "share": ratio(right.total(), told.total()), "forms": rows}


def numbers_kept(redactor: Redactor, data: Path, limit: int | None) -> dict[str, Any]:
    """Of financial reports: the numbers that an expert still sees."""
    lost: defaultdict[str, int] = defaultdict(int)
    numbers = 0
    for record in list(read_lines(data / "tatqa" / "documents.jsonl.gz"))[:limit]:
        text = record["text"]
        stretches = redactor.find(text)
        for match in NUMBER.finditer(text):
            numbers += 1
            hiding = next((f for f in stretches if f.start < match.end() and match.start() < f.end), None)
            if hiding is not None:
                lost[hiding.type] += 1
    return {"numbers": numbers, "kept": ratio(numbers - sum(lost.values()), numbers), "lost to": dict(lost)}


def speed(redactor: Redactor, vaults: Vaults, data: Path, limit: int | None) -> dict[str, Any]:
    """Kilobytes of UTF-8 a second of processor time of one process, the vault's writes included; a thread a set."""
    rates: dict[str, Any] = {}
    for name in ("tatqa", "cuad", "agentclinic"):
        texts = [r["text"][:20_000] for r in read_lines(data / name / "documents.jsonl.gz")][: min(limit or 150, 150)]
        vault = vaults.of("speed", name)
        began = time.process_time()
        for text in texts:
            redactor.redact(text, vault)
        took = time.process_time() - began
        rates[f"{name}, KB a second of a core"] = sum(len(t.encode()) for t in texts) / 1000 / took
    return rates
