"""The pairs that the answer cache begins with: `python -m understudy.apps.bench.cache_prior [--data DIR]`.

Made by the bench's templates from questions that may be trained on: as many paraphrases as near misses.
What is kept are counts of pairs with equal facts, by cosine.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from understudy.agents.cache.facts import VERSION, facts_of
from understudy.agents.cache.threshold import PRIOR, binned
from understudy.apps.bench.pairs import Pair, near_misses, paraphrases
from understudy.apps.folder import may_train, read_lines
from understudy.core.workspace import write_atomically
from understudy.retrieval.embed import MiniLM

__all__ = ["cosines", "derive", "same_facts"]

PER_KIND = 150
SEED = 17


def training_questions(data: Path) -> list[str]:
    """Questions that may be trained on."""
    titles = {d["id"]: d["title"] for d in read_lines(data / "squad" / "documents.jsonl.gz")}
    records = read_lines(data / "squad" / "questions.train.jsonl.gz")
    records += [r for r in read_lines(data / "squad" / "questions.dev.jsonl.gz") if may_train(titles[r["doc_ids"][0]])]
    records += read_lines(data / "tatqa" / "questions.dev.jsonl.gz")
    medquad = read_lines(data / "medquad" / "questions.all.jsonl.gz")
    records += [r for r in medquad if may_train(r["doc_ids"][0])][:2000]
    return list(dict.fromkeys(str(r["question"]) for r in records))


def same_facts(pair: Pair) -> bool:
    """Whether both questions have facts, and equal ones."""
    first, second = facts_of(pair.first), facts_of(pair.second)
    return first is not None and second is not None and first.same(second)


def cosines(pairs: Sequence[Pair], encoder: MiniLM) -> list[float]:
    """Of the two questions of every pair."""
    texts = list(dict.fromkeys(t for p in pairs for t in (p.first, p.second)))
    vectors = dict(zip(texts, encoder.embed_documents(texts), strict=True))
    return [sum(a * b for a, b in zip(vectors[p.first], vectors[p.second], strict=True)) for p in pairs]


def derive(data: Path, out: Path = PRIOR) -> dict[str, object]:
    """Count pairs with equal facts and wrong ones by cosine, one pair a question, and write them."""
    questions = training_questions(data)
    pairs = [*paraphrases(questions, PER_KIND, SEED), *near_misses(questions, PER_KIND * 2, SEED)]
    by_source: dict[tuple[int, bool], list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_source[pair.source, pair.same].append(pair)
    alone = [found[0] for found in by_source.values()]  # pairs of one question would count for more than they are worth
    alike = [pair for pair in alone if same_facts(pair)]
    held = {
        "facts": VERSION,
        "command": "python -m understudy.apps.bench.cache_prior",
        "seed": SEED,
        "paraphrases": sum(pair.same for pair in alone),
        "near_misses": sum(not pair.same for pair in alone),
        "bins": binned(cosines(alike, MiniLM()), [not pair.same for pair in alike]),
    }
    write_atomically(out, json.dumps(held, indent=1) + "\n")
    return held


def main() -> None:
    """Read the folder of data sets from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    derive(parser.parse_args().data)


if __name__ == "__main__":
    main()
