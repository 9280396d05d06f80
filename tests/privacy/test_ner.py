"""Names that a model finds: where they stand, in windows, in any tokenizer's family, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ner_parts import KINDS, LABELS, token_classifier
from safetensors.torch import load_file, save_file
from transformers import AutoModelForTokenClassification, BertModel

from understudy.core.errors import EgressRefused, ModelFileError
from understudy.core.settings import PatternSettings
from understudy.privacy.protected.values import Value
from understudy.privacy.redaction import TYPES, Found, Redactor, Vaults, ner
from understudy.privacy.redaction.ner import NerModel
from understudy.privacy.redaction.tags import Tag, Tagged, spans, tag_of

NAMES = {
    "Maria": "PERSON", "Maria Kovac": "PERSON", "amber": "PERSON", "Zoë": "PERSON", "Zoe\u0308": "PERSON", "雪": "PERSON",
    "Bern": "PLACE", "harbour": "PLACE", "Acme Works": "ORGANISATION", "Zorbium": "OTHER",
}  # fmt: skip
REST = (
    "the drug of",
    "was seen",
    "Mar 12",
    "American",
    "\U0001f9d1\u200d\U0001f4bb",
    "e\u0301a\u0323",
    "𝔘𝔫𝔦",
    "[SEP] [PAD]",
    "½ €3.5",
    "天気",
    "\0",
)
JOINS = (" ", "\n", "\n\n", " \U0001f600 ", ", ", " (", " — ", "\t", ". ")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {kind: token_classifier(root / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def found_by(folders: dict[str, Path]) -> dict[str, NerModel]:
    return {kind: NerModel(folder) for kind, folder in folders.items()}


def written(pieces: list[tuple[str, str]]) -> tuple[str, list[Found]]:
    """A text of words and what joins them, and what should be found in it."""
    text, expected = "", []
    for word, join in pieces:
        if word in NAMES:
            expected.append(Found(len(text), len(text) + len(word), NAMES[word], word))
        text += word + join
    return text, expected


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(pieces=st.lists(st.tuples(st.sampled_from((*NAMES, *REST)), st.sampled_from(JOINS)), max_size=60))
def test_every_name_is_found_where_it_stands(
    kind: str, pieces: list[tuple[str, str]], found_by: dict[str, NerModel]
) -> None:
    if kind != "wordpiece":  # the other two tell an accent apart from a letter with it
        pieces = [(word.replace("e\u0308", "ë"), join) for word, join in pieces]
    text, expected = written(pieces)
    assert list(found_by[kind].find(text)) == expected


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25)
@given(
    text=st.text(st.characters(), max_size=80) | st.text("Maria ë\u0308\u200d雪\U0001f9d1\ud800\r\n[SEP]", max_size=80)
)
def test_any_text_is_read(kind: str, text: str, found_by: dict[str, NerModel]) -> None:
    finds = list(found_by[kind].find(text))
    assert all(f.text == text[f.start : f.end] and f.text.strip() == f.text != "" for f in finds)
    assert [(f.start, f.end) for f in finds] == sorted((f.start, f.end) for f in finds)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [8, 64])
def test_long_texts_are_read_in_windows(kind: str, tokens: int, tmp_path: Path) -> None:
    rng = random.Random(17)
    words = [w for w in (*NAMES, *REST[:4]) if "\u0308" not in w]
    text, expected = written([(rng.choice(words), rng.choice(JOINS)) for _ in range(200)])
    assert list(NerModel(token_classifier(tmp_path, kind, tokens=tokens)).find(text)) == expected


def test_a_token_goes_by_the_window_that_shows_most_around_it(tmp_path: Path) -> None:
    """A model that finds nothing in the outer two places of a window: of four that two windows share, half each."""
    folder = token_classifier(tmp_path, tokens=20)
    network = AutoModelForTokenClassification.from_pretrained(folder)
    with torch.no_grad():
        for place in (1, 2, 17, 18):
            network.base_model.embeddings.position_embeddings.weight[place, 0] = 9.0
    network.save_pretrained(folder)
    text, expected = written([("the", " ")] * 2 + [("Bern", " ")] * 300 + [("the", " ")] * 2)
    assert list(NerModel(folder).find(text)) == expected
    assert list(NerModel(folder).find("Bern " * 5)) != written([("Bern", " ")] * 5)[1]


@pytest.mark.parametrize(
    ("label", "tag"),
    [
        ("B-PER", ("B", "PERSON")), ("I-PERSON", ("I", "PERSON")), ("person", ("", "PERSON")), ("S_GPE", ("S", "PLACE")),
        ("B-LOC", ("B", "PLACE")), ("U-FAC", ("U", "PLACE")), ("E-ORG", ("E", "ORGANISATION")), ("PATIENT", ("", "PERSON")),
        ("B-MISC", ("B", "OTHER")), ("B-EMAIL_ADDRESS", ("B", "EMAIL")), ("E-MAIL", ("", None)), ("I-FIRST NAME", ("I", "PERSON")),
        ("O", ("", None)), ("", ("", None)), ("B-DATE", ("", None)), ("B-NORP", ("", None)), ("LABEL_1", ("", None)), ("B-", ("", None)),
    ],
)  # fmt: skip
def test_labels_of_common_schemes(label: str, tag: tuple[str, str | None]) -> None:
    assert tag_of(label) == tag
    assert tag[1] is None or tag[1] in TYPES


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("B-PER I-PER O B-PER", ["a b", "d"]),
        ("I-PER I-PER O I-LOC", ["a b", "d"]),
        ("I-PER B-PER I-PER O", ["a", "b c"]),
        ("B-PER E-PER S-PER O", ["a b", "c"]),
        ("B-PER L-PER U-PER U-PER", ["a b", "c", "d"]),
        ("PER PER LOC PER", ["a b", "c", "d"]),
        ("B-PER I-LOC I-LOC B-DATE", ["a", "b c"]),
        ("B-GPE I-LOC O O", ["a b"]),
    ],
)
def test_neighbouring_words_become_stretches(labels: str, expected: list[str]) -> None:
    text = "a b c d"
    tagged = [Tagged(2 * i, 2 * i + 1, tag_of(label)) for i, label in enumerate(labels.split())]
    assert [f.text for f in spans(text, tagged)] == expected


def test_a_stretch_ends_with_its_line_and_keeps_its_marks() -> None:
    tag = Tag("I", "PERSON")
    assert [f.text for f in spans("Ann\nLee", [Tagged(0, 3, tag), Tagged(4, 7, tag)])] == ["Ann", "Lee"]
    assert [f.text for f in spans(" Jose\u0301 x", [Tagged(0, 5, tag)])] == ["Jose\u0301"]
    assert list(spans("a . b", [Tagged(2, 3, tag)])) == []


def test_threads_share_one_model(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []
    load = ner.load
    monkeypatch.setattr(ner, "load", lambda folder, labels: loads.append(folder) or load(folder, labels))
    model = NerModel(folders["wordpiece"])
    rng = random.Random(3)
    texts = [written([(rng.choice([*NAMES]), " ") for _ in range(rng.randint(1, 90))]) for _ in range(60)]
    with ThreadPoolExecutor(8) as pool:
        finds = list(pool.map(lambda t: list(model.find(t[0])), texts))
    assert finds == [expected for _, expected in texts]
    assert loads == [folders["wordpiece"]]


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def config(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without("config.json"), "holds no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "can't be read as JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "a token classifier is needed"),
        (config(architectures=["BertModel"]), "holds BertModel; a token classifier is needed"),
        (config(architectures=None), "a token classifier is needed"),
        (config(id2label={"0": "LABEL_0", "1": "LABEL_1"}), r"it has LABEL_0, LABEL_1\); write labels such as B-PER"),
        (config(id2label={"0": "O", "2": "B-PER"}), "leaves a number out"),
        (config(id2label=["O"]), "is no table of labels"),
        (config(id2label={}), "it has none"),
        (pickled, "holds no model.safetensors"),
        (cut_off, "is damaged"),
        (without("tokenizer.json"), "holds no tokenizer.json"),
    ],
)
def test_a_wrong_folder_is_one_clear_line_at_once(damage: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    folder = token_classifier(tmp_path / "model")
    damage(folder)
    with pytest.raises(ModelFileError, match=f"privacy.ner: .*{said}") as caught:
        NerModel(folder)
    assert "\n" not in str(caught.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ModelFileError, match=r"privacy\.ner: there is no folder"):
            NerModel(path)


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        change(held)
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})

    return changed


def another(folder: Path) -> None:
    network = BertModel.from_pretrained(folder, add_pooling_layer=False)
    settings = (folder / "config.json").read_text()
    network.save_pretrained(folder)
    (folder / "config.json").write_text(settings)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (another, "can't be loaded: its weights lack classifier"),
        (tensors(lambda held: held.pop("classifier.bias")), "can't be loaded: its weights lack classifier.bias"),
        (tensors(lambda held: held.update({"classifier.bias": torch.zeros(3)})), "can't be loaded"),
        (tensors(lambda held: held["classifier.bias"].fill_(torch.nan)), "can't read a text: its figures are no numbers"),
        (config(model_type="nothing-known"), "can't be loaded"),
        (config(auto_map={"AutoModelForTokenClassification": "code.Net"}, model_type="own"), "can't be loaded"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "can't be loaded"),
        (config(max_position_embeddings=5), "can't be loaded"),
    ],
)  # fmt: skip
def test_where_the_model_cant_be_used_nothing_leaves(
    damage: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    folder = token_classifier(tmp_path / "model")
    damage(folder)
    model = NerModel(folder)
    with pytest.raises(EgressRefused, match=f"{said}.*; nothing was sent") as caught:
        Redactor(ner=model).find("Maria was here")
    assert "\n" not in str(caught.value)


def test_patterns_dictionary_and_model_are_merged(found_by: dict[str, NerModel], tmp_path: Path) -> None:
    redactor = Redactor(
        [Value("amber Lane", "STREET", "field street")],
        [PatternSettings(type="CASE", regex=r"Bern-\d+")],
        found_by["wordpiece"],
    )
    text = "amber wrote to amber@harbour.example about amber lane and Bern-12; harbour, Acme Works, 雪."
    vault = Vaults(tmp_path / "privacy.sqlite", b"k" * 32).of("default", "t")
    out = redactor.redact(text, vault)
    assert out.text == (
        "⟦PERSON_1⟧ wrote to ⟦EMAIL_1⟧ about ⟦STREET_1⟧ and ⟦CASE_1⟧; ⟦PLACE_1⟧, ⟦ORGANISATION_1⟧, ⟦PERSON_2⟧."
    )
    assert redactor.restore(out.text, vault) == text
    plain = Redactor().redact(text, Vaults(tmp_path / "other.sqlite", b"k" * 32).of("default", "t")).text
    assert "amber wrote" in plain  # word lists take it for the stone


@settings(deadline=None, max_examples=25)
@given(
    pieces=st.lists(st.tuples(st.sampled_from((*LABELS, *REST, "a@b.example")), st.sampled_from(JOINS)), max_size=30)
)
def test_what_the_model_finds_comes_back(
    pieces: list[tuple[str, str]], found_by: dict[str, NerModel], tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = "".join(word + join for word, join in pieces)
    redactor = Redactor(ner=found_by["wordpiece"])
    vaults = Vaults(tmp_path_factory.mktemp("vault") / "privacy.sqlite", b"k" * 32)
    vault = vaults.of("default", "t")
    out = redactor.redact(text, vault).text
    assert redactor.restore(out, vault) == text
    assert not any(name in out for name in ("amber", "harbour", "Zorbium", "Maria"))
    vaults.close()
