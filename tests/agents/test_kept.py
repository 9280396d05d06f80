"""What was read for one question is there again for its next step, whoever's steps were taken meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.engine import Engine
from understudy.agents.kept import WORTH, Kept, shared
from understudy.agents.small_model import starter_path


class Counting:
    """States whose size is that of their tokens, and that know what they hold."""

    def __init__(self) -> None:
        self.now: list[int] = []
        self.fails = False

    def size(self) -> int:
        return 10 * len(self.now)

    def copy(self) -> Any:
        return list(self.now)

    def restore(self, state: Any) -> bool:
        self.now = list(state)
        return not self.fails


def read(kept: Kept, states: Counting, prompt: list[int]) -> int:
    """Read a prompt as the engine does; how many of its tokens were there already."""
    cached = kept.exchange(states.now, prompt)
    assert cached == states.now or cached == []
    same = min(shared(cached, prompt), len(prompt) - 1)
    states.now = list(prompt)
    return same


def prompt(question: int, length: int) -> list[int]:
    return [0] * 10 + [question] * length


def test_two_questions_in_turns_lose_nothing() -> None:
    states = Counting()
    kept = Kept(states, 10**6)
    read(kept, states, prompt(1, 100))
    read(kept, states, prompt(2, 100))
    assert read(kept, states, prompt(1, 150)) == 110
    assert read(kept, states, prompt(2, 150)) == 110
    assert len(kept) == 1


def test_what_is_hardly_worth_a_copy_gets_none() -> None:
    states = Counting()
    kept = Kept(states, 10**6)
    read(kept, states, prompt(1, WORTH - 1))
    read(kept, states, prompt(2, 10))
    assert len(kept) == 0


def test_a_copy_that_cannot_be_put_back_is_read_anew() -> None:
    states = Counting()
    kept = Kept(states, 10**6)
    read(kept, states, prompt(1, 100))
    read(kept, states, prompt(2, 100))
    states.fails = True
    assert kept.exchange(states.now, prompt(1, 120)) == []


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 400)), max_size=40),
    st.sampled_from([0, 1000, 5000, 100_000]),
)
def test_copies_stay_within_their_limit_and_hold_what_they_say(asked: list[tuple[int, int]], limit: int) -> None:
    states = Counting()
    kept = Kept(states, limit)
    for question, length in asked:
        read(kept, states, prompt(question, length))
        assert 0 <= kept.bytes <= limit
        assert kept.bytes == sum(size for _, size in kept._held.values())
        assert all(list(tokens) == state for tokens, (state, _) in kept._held.items())


@pytest.fixture(scope="module")
def engines() -> Any:
    pair = [Engine(starter_path(), context=1024, kept_mib=mib) for mib in (0, 64)]
    yield pair
    for engine in pair:
        engine.close()


def test_the_real_model_goes_on_from_a_copy_as_if_it_had_never_stopped(engines: list[Engine]) -> None:
    forgets, keeps = engines
    first = keeps.tokenize("The night train to Oslo leaves at 22:40 from platform seven. " * 12, control=False)
    second = keeps.tokenize("The company was founded in 1961 in Halden, Norway, by a physicist. " * 12, control=False)
    more = keeps.tokenize(" And when does it come back?", control=False)
    alone = forgets.logits_after([*first, *more])
    for engine in engines:
        engine.forget()
        engine.logits_after(first)
        engine.logits_after(second)
    _, reused = keeps.sync([*first, *more], None)
    assert reused == len(first)
    keeps.logits_after(second)
    again = keeps.logits_after([*first, *more])
    np.testing.assert_allclose(again, alone, atol=2e-2)
    assert int(again.argmax()) == int(alone.argmax())
    assert forgets.sync([*first, *more], None)[1] < 20


def test_nothing_is_kept_after_forgetting(engines: list[Engine]) -> None:
    keeps = engines[1]
    keeps.logits_after(list(range(5, 205)))
    keeps.logits_after(list(range(300, 500)))
    assert len(keeps._kept) > 0
    keeps.forget()
    assert len(keeps._kept) == 0
    assert keeps.sync(list(range(5, 205)), None)[1] == 0
