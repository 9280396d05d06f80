"""The first judge: what the small model and the reader believe, against one threshold."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.judge import ThresholdJudge
from understudy.core.types import Draft, Evidence

HALF = math.log(0.5)


def draft(mean_logprob: float, support: float = 1.0, problems: tuple[str, ...] = ()) -> Draft:
    return Draft(
        text="1961", citations=(), mean_logprob=mean_logprob, min_logprob=mean_logprob, removed_mass=0.0,
        support=support, problems=problems,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mean_logprob", "support", "accepted"),
    [(-0.1, 1.0, True), (-0.8, 1.0, False), (-0.1, 0.9, True), (-0.1, 0.4, False), (-0.1, 0.0, False)],
)
def test_a_draft_is_accepted_when_model_and_reader_together_are_sure(
    mean_logprob: float, support: float, accepted: bool
) -> None:
    judgement = ThresholdJudge(HALF).judge(draft(mean_logprob, support), Evidence(), {})
    assert judgement.accept is accepted
    assert judgement.confidence == pytest.approx(math.exp(mean_logprob) * support)


def test_what_is_not_verified_is_never_accepted() -> None:
    judgement = ThresholdJudge(-99.0).judge(draft(0.0, problems=("3,000 stands nowhere",)), Evidence(), {})
    assert (judgement.accept, judgement.confidence) == (False, 0.0)
    assert "3,000 stands nowhere" in judgement.reason


@given(st.floats(-20, 0), st.floats(0, 1), st.floats(0, 1))
def test_more_support_never_lowers_confidence(mean_logprob: float, a: float, b: float) -> None:
    judge = ThresholdJudge(HALF)
    low, high = (judge.judge(draft(mean_logprob, s), Evidence(), {}).confidence for s in sorted((a, b)))
    assert 0 <= low <= high <= 1
