"""What a sample says of a whole job."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.agents.batch.estimate import Sampled, plan_of


def test_a_sample_is_scaled_to_the_job() -> None:
    sample = [Sampled(2.0, consulted=n < 5, call_usd=0.01, most_usd=0.05) for n in range(20)]
    plan = plan_of(sample, 10.0, 1000, 0, "tokens")
    assert plan.seconds_a_question.value == pytest.approx(0.5), "four are in progress at once"
    assert plan.hours.value == pytest.approx(500 / 3600)
    assert plan.consulted.value == 0.25
    assert plan.usd.value == pytest.approx(2.5)
    assert plan.most_usd == pytest.approx(12.5)
    assert plan.usd.low < 2.5 < plan.usd.high < plan.most_usd


def test_what_did_not_happen_in_the_sample_may_happen() -> None:
    never = plan_of([Sampled(1.0, call_usd=0.01)] * 100, 100.0, 10_000, 0, "tokens")
    assert (never.consulted.value, never.consulted.high) == (0.0, 0.03)
    assert (never.usd.value, never.usd.high) == (0.0, pytest.approx(3.0))
    always = plan_of([Sampled(1.0, consulted=True, call_usd=0.01)] * 100, 100.0, 10_000, 0, "tokens")
    assert (always.consulted.low, always.consulted.high) == (0.97, 1.0)


def test_the_interval_holds_what_it_says() -> None:
    """Of 200 samples of 60 from jobs of which every fifth question costs, the interval covers in nine of ten at least."""
    rng, held = np.random.default_rng(7), 0
    for seed in range(200):
        asked = rng.random(60) < 0.2
        sample = [
            Sampled(float(s), consulted=bool(c), call_usd=1.0)
            for s, c in zip(rng.exponential(size=60), asked, strict=True)
        ]
        plan = plan_of(sample, sum(s.seconds for s in sample), 100, seed, "")
        held += plan.usd.low <= 20 <= plan.usd.high
    assert held >= 180


def test_failures_are_counted() -> None:
    plan = plan_of([Sampled(1.0), Sampled(1.0, failed=True)], 2.0, 10, 0, "")
    assert (plan.sampled, plan.failed) == (2, 1)
