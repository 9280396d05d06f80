"""The area under the ROC curve is what scikit-learn says it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from understudy.agents.deferral.reliability import auroc

LABELLED = st.tuples(st.booleans(), st.integers(0, 5), st.floats(0.1, 10))


@given(st.lists(LABELLED, min_size=2, max_size=30).filter(lambda rows: len({right for right, _, _ in rows}) == 2))
def test_ties_and_weights_count_as_they_do_in_scikit_learn(rows: list[tuple[bool, int, float]]) -> None:
    right, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    expected = roc_auc_score(right, score, sample_weight=weight)
    assert auroc(right, score.astype(float), weight) == pytest.approx(expected)


def test_without_both_kinds_there_is_none() -> None:
    assert math.isnan(auroc(np.array([True, True]), np.array([0.1, 0.2]), np.ones(2)))
