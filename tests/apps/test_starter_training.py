"""Training of the starter: a killed run ends with the weights of one that wasn't; what is exported loads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel

from understudy.agents.small_model import SmallModel
from understudy.apps.starter.card import write_card
from understudy.apps.starter.planner_model import build_network, quantize, train_tokenizer, write_gguf
from understudy.apps.starter.reader_data import ReaderRecipe
from understudy.apps.starter.train_planner import PlannerRecipe, Sequenced, evaluate, fit, kept_apart, sequence
from understudy.apps.starter.transcripts import table_transcripts, transcript_text
from understudy.core.steps import Consult, Decline
from understudy.core.types import Evidence, Message
from understudy.distillation.checkpoint import identity_of, load_checkpoint, save_checkpoint
from understudy.distillation.encoded import Encoded
from understudy.distillation.reader_lora import fit as fit_reader
from understudy.retrieval.torch_models import SpanReader

RECIPE = PlannerRecipe(steps=240, batch=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on two threads, and much slower beside another process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def plan() -> list[list[Sequenced]]:
    rng = random.Random(1)
    ids = [[rng.randrange(64) for _ in range(8)] for _ in range(RECIPE.steps)]
    return [[Sequenced(i, [True] * 8)] for i in ids]


def weights(checkpoint: Path, batches: list[list[Sequenced]]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    model = build_network(64, width=128, layers=1)
    fit(model, batches, RECIPE, checkpoint, asdict(RECIPE))
    return model.state_dict()


def test_a_killed_run_that_goes_on_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken = weights(tmp_path / "a.pt", plan())
    weights(tmp_path / "b.pt", plan()[:210])  # stops after the checkpoint at 200
    resumed = weights(tmp_path / "b.pt", plan())
    assert all(torch.allclose(unbroken[name], resumed[name], atol=1e-6) for name in unbroken)
    from_scratch = weights(tmp_path / "c.pt", plan()[200:])
    assert not all(torch.allclose(unbroken[name], from_scratch[name], atol=1e-4) for name in unbroken)


def test_a_checkpoint_knows_what_it_was_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "planner.checkpoint.pt"
    mine = identity_of({"steps": 5}, [[1, 2], [3]])
    save_checkpoint(path, mine, {"step": 3})
    assert load_checkpoint(path, identity_of({"steps": 5}, [[1, 2], [3]])) == {"step": 3}
    for other in (identity_of({"steps": 5}, [[1, 2, 3]]), identity_of({"steps": 6}, [[1, 2], [3]])):
        assert load_checkpoint(path, other) is None


def test_a_checkpoint_of_another_recipe_is_not_taken_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "planner.checkpoint.pt"
    save_checkpoint(path, {"steps": 5}, {"step": 3})
    assert load_checkpoint(path, {"steps": 5}) == {"step": 3}
    assert load_checkpoint(path, {"steps": 6}) is None
    assert "another recipe" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "none.pt", {}) is None


def test_a_trained_tokenizer_and_network_load_in_llama_cpp_and_read_what_they_were_trained_on(tmp_path: Path) -> None:
    texts = ["The works make pumps.", "Employees take leave.", "Ask the office.", "Nothing."]
    transcripts = list(table_transcripts(30, texts, (), random.Random(2)))
    tokenizer = train_tokenizer((transcript_text(t) for t in transcripts), 512)
    write_gguf(
        build_network(tokenizer.get_vocab_size(), width=128, layers=1).eval(), tokenizer, tmp_path / "f.gguf",
        profile="pointing", name="tiny",
    )  # fmt: skip
    quantize(tmp_path / "f.gguf", tmp_path / "q.gguf")
    model = SmallModel(tmp_path / "q.gguf")
    try:
        for transcript in transcripts[:8]:
            seen = sequence(tokenizer, transcript).ids
            for at in (n for n, m in enumerate(transcript) if m.role == "assistant"):
                shown = model.render(transcript[:at])
                assert shown == seen[: len(shown)]  # trained on the very ids that it is run with
        first = model.next_step(transcripts[0][:1], Evidence())
        assert isinstance(first.step, (Consult, Decline))  # no tools, no evidence: nothing else is left
    finally:
        model.close()


READER = ReaderRecipe(rank=2, steps=130, cloze_steps=0, batch=2)


def reader_plan() -> list[list[Encoded]]:
    rng = random.Random(3)
    made = []
    for _ in range(READER.steps):
        ids = [101, *(rng.randrange(1000, 2000) for _ in range(8)), 102]
        made.append([Encoded(ids, [0] * 4 + [1] * 6, start, start and start + 1) for start in (0, 5)])
    return made


def reader_weights(checkpoint: Path, batches: list[list[Encoded]]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    encoder = BertModel(BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64))
    return fit_reader(SpanReader(encoder, hidden_size=32), batches, READER, checkpoint, asdict(READER))


def test_a_killed_run_of_the_reader_that_goes_on_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken = reader_weights(tmp_path / "a.pt", reader_plan())
    reader_weights(tmp_path / "b.pt", reader_plan()[:110])  # stops after the checkpoint at 100
    resumed = reader_weights(tmp_path / "b.pt", reader_plan())
    assert all(torch.allclose(unbroken[name], resumed[name], atol=1e-6) for name in unbroken)
    from_scratch = reader_weights(tmp_path / "c.pt", reader_plan()[100:])
    assert not all(torch.allclose(unbroken[name], from_scratch[name], atol=1e-4) for name in unbroken)


def test_steps_are_right_only_to_the_last_token() -> None:
    class Foretells(torch.nn.Module):
        """A model that always expects the next number."""

        def forward(self, ids: Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=torch.nn.functional.one_hot(ids + 1, 20).float())

    kept = [Sequenced([1, 2, 3, 4, 9, 10, 12], [True] * 7, steps=((1, 4), (5, 7)))]
    assert evaluate(Foretells(), kept, "cpu") == {"transcripts": 1, "steps": 2, "steps_right": 0.5}


def test_a_question_is_kept_apart_in_all_its_forms() -> None:
    def asked(number: int, *earlier: str) -> list[Message]:
        lines = [*(f"Earlier: {e}" for e in earlier), f"Question: What was item {number}?"]
        return [Message(role="user", content="\n".join(lines))]

    kept = [kept_apart(asked(n)) for n in range(2000)]
    assert kept == [kept_apart(asked(n, "Who?", f"And {n}?")) for n in range(2000)]
    assert 0 < sum(kept) < 100


def test_a_model_card_names_data_licences_size_recipe_and_scores(tmp_path: Path) -> None:
    weights = tmp_path / "starter.gguf"
    weights.write_bytes(b"12345")
    write_card(tmp_path / "card.md", "planner", weights, {"seed": 17}, {"steps_right": 0.9})
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    for words in ("starter.gguf", "5 bytes", "CC BY-SA 4.0", "| seed | 17 |", "| steps_right | 0.9 |", "no use"):
        assert words in card
