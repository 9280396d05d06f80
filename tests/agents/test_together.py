"""Several sequences on one model: the same steps as alone, prefixes read once, and no more room than there is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from understudy.agents.decoding import Generated
from understudy.agents.engine import Engine
from understudy.agents.small_model import starter_path
from understudy.agents.together import Part, Together, Wanted
from understudy.core.errors import InternalError, QuestionError, Stopped

GRAMMAR = "start: /[a-z ]{12,24}/"
LONG = "The night train leaves at ten. " * 20
ASKED = [f"{LONG}\nWhich {word}?" for word in ("train", "platform", "city", "hour", "river", "bridge")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    opened = Engine(starter_path(), context=1024, threads=1)
    yield opened
    opened.close()


def prompt(engine: Engine, text: str) -> list[int]:
    return engine.tokenize(text, control=False)


def all_of(engine: Engine, together: Together, texts: list[str], limit: int = 24) -> list[Generated]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda t: together.generate(prompt(engine, t), GRAMMAR, limit=limit), texts))


def said(engine: Engine, found: list[Generated]) -> list[str]:
    return [engine.text([t.id for t in one.tokens]) for one in found]


@pytest.mark.parametrize("apart", [False, True])
def test_together_they_say_what_each_says_alone(engine: Engine, apart: bool) -> None:
    alone = []
    for text in ASKED:
        engine.forget()
        alone.append(engine.generate(prompt(engine, text), GRAMMAR, limit=24))
    together = Together(engine, sequences=8, threads=1, apart=apart)
    found = all_of(engine, together, ASKED)
    together.close()
    assert said(engine, found) == said(engine, alone)
    off = 0.0 if apart else 0.1  # sums in another order
    for one, other in zip(found, alone, strict=True):
        assert [t.logprob for t in one.tokens] == pytest.approx([t.logprob for t in other.tokens], abs=off, rel=0)
    assert 0 < sum(one.seconds for one in found) <= together.spent * 1.001


def test_what_prompts_begin_with_is_read_once(engine: Engine) -> None:
    together = Together(engine, sequences=8, threads=1)
    found = all_of(engine, together, ASKED)
    together.close()
    prompts = [prompt(engine, text) for text in ASKED]
    evaluated = sum(one.counts.evaluated for one in found)
    assert evaluated < len(prompts[0]) + 16 * len(prompts), "though all came at once"
    assert [one.counts.evaluated + one.counts.reused for one in found] == list(map(len, prompts))


def test_apart_nothing_is_shared_and_no_digit_depends_on_the_others(engine: Engine) -> None:
    def numbers(texts: list[str], sequences: int) -> dict[str, list[float]]:
        together = Together(engine, sequences=sequences, threads=1, apart=True)
        found = all_of(engine, together, texts)
        together.close()
        assert all(one.counts.reused == 0 for one in found)
        return {text: [t.logprob for t in one.tokens] for text, one in zip(texts, found, strict=True)}

    crowd, few = numbers(ASKED, 8), numbers(ASKED[:2], 2)
    assert few == {text: crowd[text] for text in ASKED[:2]}


def test_a_next_step_goes_on_from_what_was_read(engine: Engine) -> None:
    together = Together(engine, sequences=4, threads=1, apart=True)
    first = prompt(engine, ASKED[0])
    step = together.generate(first, GRAMMAR, limit=24)
    together.generate(prompt(engine, ASKED[1]), GRAMMAR, limit=24).over()
    together.generate(prompt(engine, ASKED[2]), GRAMMAR, limit=24).over()
    both = [*first, *(t.id for t in step.tokens)]
    after = together.generate([*both, *prompt(engine, " and then")], GRAMMAR, limit=24)
    together.close()
    assert after.counts.reused == len(both)


def test_more_than_the_cells_hold_is_computed_all_the_same(engine: Engine) -> None:
    """Six prompts of 600 tokens, which have nothing in common, in 1,024 cells."""
    texts = [f"{word} " * (600 // len(prompt(engine, f"{word} "))) for word in ("rain", "snow", "sun", "wind", "fog")]
    alone = []
    for text in texts:
        engine.forget()
        alone.append(engine.generate(prompt(engine, text), GRAMMAR, limit=24))
    together = Together(engine, sequences=5, threads=1)
    found = all_of(engine, together, texts)
    together.close()
    assert said(engine, found) == said(engine, alone)


def test_errors_are_each_callers_own(engine: Engine) -> None:
    together = Together(engine, sequences=2, threads=1)
    with pytest.raises(QuestionError, match="the context holds 1024"):
        together.generate(prompt(engine, LONG * 10), GRAMMAR, limit=24)
    with pytest.raises(Stopped):
        together.generate(prompt(engine, LONG), GRAMMAR, limit=24, cancel=lambda: True)
    with pytest.raises(InternalError, match="grammar is invalid"):
        together.generate(prompt(engine, LONG), "start: (", limit=24)
    for text in (ASKED[0], ASKED[1], ASKED[2]):
        assert together.generate(prompt(engine, text), GRAMMAR, limit=24).tokens, "no slot was lost"
    together.close()
    with pytest.raises(InternalError, match="was closed"):
        together.generate(prompt(engine, LONG), GRAMMAR, limit=24)


def test_who_waits_when_it_is_closed_is_told(engine: Engine) -> None:
    together = Together(engine, sequences=1, threads=1)
    errors: list[Exception] = []

    def ask(text: str) -> None:
        try:
            together.generate(prompt(engine, text), GRAMMAR, limit=24)
        except InternalError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(f"{n} {LONG}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    together.close()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert errors


def test_what_was_read_can_be_dropped(engine: Engine) -> None:
    together = Together(engine, sequences=2, threads=1)
    text = prompt(engine, LONG)
    together.generate(text, GRAMMAR, limit=24)
    assert together.generate(text, GRAMMAR, limit=24).counts.reused > 0
    together.forget()
    assert together.generate(text, GRAMMAR, limit=24).counts.reused == 0
    together.close()
    together.forget()


def test_who_loses_its_cells_twice_loses_no_token(engine: Engine) -> None:
    together = Together(engine, sequences=3, threads=1)
    one, other, third = together._slots
    for slot in (one, other, third):
        slot.busy = True
    one.cached, other.cached, third.cached = [*range(100), 7, 8], [*range(100), 9], [5]
    head = Part(Wanted(third, [1], 0, False), 1)
    for _ in range(4):
        together._made_room([head])
    assert [one.cached + one.owed, other.cached + other.owed] == [[*range(100), 7, 8], [*range(100), 9]]
    together.close()
