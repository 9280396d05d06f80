"""The judge: a threshold in force, a fixed one, or none yet; and which accepted drafts are compared."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.deferral.calibration import Calibrator
from understudy.agents.deferral.derive import Derivation
from understudy.agents.deferral.judge import DeferralJudge, audit_probability
from understudy.agents.deferral.outcomes import role_of
from understudy.agents.deferral.signals import Nearest
from understudy.core.protocols import Judgement
from understudy.core.settings import DeferralSettings
from understudy.core.types import Draft, Evidence, Scope

NOBODY = Nearest(lambda texts: [[1.0]] * len(texts), lambda collection: [])
DERIVED = Derivation(
    small_model="m", max_quality_loss=0.02, confidence=0.9, threshold=0.6, labels=100, derived="2026-11-25"
)
NONE_YET = DERIVED.model_copy(update={"threshold": None, "missing": 14})


def draft(mean_logprob: float, support: float = 1.0, problems: tuple[str, ...] = ()) -> Draft:
    return Draft(
        text="1961", citations=(), mean_logprob=mean_logprob, min_logprob=mean_logprob, removed_mass=0.0,
        support=support, problems=problems,
    )  # fmt: skip


def judged(given_draft: Draft, derivation: Derivation = DERIVED, *, drawn: float = 0.9, **settings: float) -> Judgement:
    judge = DeferralJudge(
        DeferralSettings.model_validate(settings), derivation, lambda collection: True, NOBODY, lambda: drawn
    )
    return judge.judge("When?", Scope(), given_draft, Evidence(), {"steps": 2.0})


@pytest.mark.parametrize(
    ("mean_logprob", "support", "accepted"),
    [(-0.1, 1.0, True), (-0.8, 1.0, False), (-0.1, 0.9, True), (-0.1, 0.4, False), (-0.1, 0.0, False)],
)
def test_a_draft_is_accepted_when_model_and_reader_together_are_sure(
    mean_logprob: float, support: float, accepted: bool
) -> None:
    for found in (judged(draft(mean_logprob, support)), judged(draft(mean_logprob, support), min_confidence=0.5)):
        assert found.accept is accepted
        assert found.confidence == pytest.approx(math.exp(mean_logprob) * support, abs=1e-3)
        assert found.signals["steps"] == 2.0
        assert found.signals["mean_logprob"] == mean_logprob


def test_answers_that_test_the_promise_are_given_blind() -> None:
    for question in ("When?", "Who?", "Where?", "Why?", "How many?", "Which one?", "What for?"):
        judge = DeferralJudge(DeferralSettings(), DERIVED, lambda collection: True, NOBODY, lambda: 1.0)
        found = judge.judge(question, Scope(), draft(-9.0), Evidence(), {})
        assert found.blind is (role_of(question, Scope()) == "calibrate")
    assert judged(draft(0.0), drawn=0.0).blind, "so are those of accepted drafts"


def test_what_is_not_verified_is_never_accepted() -> None:
    found = judged(draft(0.0, problems=("3,000 stands nowhere",)), min_confidence=0.0)
    assert (found.accept, found.confidence) == (False, 0.0)
    assert "3,000 stands nowhere" in found.reason


def test_a_confidence_that_is_no_number_is_not_enough() -> None:
    broken = Calibrator(
        signals=("support",), means=(0.0,), scales=(1.0,), weights=(math.nan,), intercept=0.0,
        logits=(0.0, 1.0), probabilities=(0.2, 0.9),
    )  # fmt: skip
    assert not judged(draft(0.0), DERIVED.model_copy(update={"calibrator": broken})).accept


def test_without_a_threshold_all_is_deferred_and_the_missing_labels_are_counted() -> None:
    found = judged(draft(0.0), NONE_YET)
    assert (found.accept, found.probability) == (False, 1.0)
    assert "14 more labels" in found.reason
    hopeless = judged(draft(0.0), NONE_YET.model_copy(update={"missing": 0}))
    assert "no threshold keeps the loss under 0.02" in hopeless.reason


def test_accepted_drafts_are_compared_at_a_rate_that_decays() -> None:
    assert [judged(draft(0.0), drawn=d).audit for d in (0.49, 0.51)] == [True, False]
    assert judged(draft(0.0), drawn=0.49).probability == 0.5
    assert judged(draft(-9.0), drawn=0.0).probability == 1.0, "a deferred draft is compared for sure"
    settings = DeferralSettings(audit_rate=0.02)
    rates = [audit_probability(settings, n) for n in (0, 100, 900, 100000)]
    assert rates == [1.0, 0.5, 0.1, 0.02]
    assert audit_probability(DeferralSettings(audit_rate=0.0), 0) == 0.0
    assert audit_probability(DeferralSettings(min_confidence=0.5), 0) == 0.02, "no promise needs no first period"


def test_nothing_is_compared_where_nothing_may_leave() -> None:
    judge = DeferralJudge(DeferralSettings(), DERIVED, lambda collection: False, NOBODY, lambda: 0.0)
    found = judge.judge("When?", Scope(), draft(0.0), Evidence(), {})
    assert (found.accept, found.audit, found.probability) == (True, False, 0.0)


@given(st.floats(-20, 0), st.floats(0, 1), st.floats(0, 1))
def test_more_support_never_lowers_confidence(mean_logprob: float, a: float, b: float) -> None:
    low, high = (judged(draft(mean_logprob, s)).confidence for s in sorted((a, b)))
    assert 0 <= low <= high <= 1
