"""The promise holds as often as it says, and says how many labels are missing."""

from __future__ import annotations

import random

import pytest

from understudy.agents.deferral.promise import Label, Sample, labels_needed, promise
from understudy.agents.deferral.promise import p_value as p_value_of

GRID = [i / 20 for i in range(20, -1, -1)]


def p_value(labels: list[Label], threshold: float, max_loss: float) -> float:
    return p_value_of(Sample.of(labels), threshold, max_loss)


def perfect(count: int) -> list[Label]:
    return [Label(confidence=0.9, loss=0.0) for _ in range(count)]


def test_without_labels_everything_is_deferred_and_the_missing_ones_are_counted() -> None:
    found = promise([], GRID, max_loss=0.02, confidence=0.9)
    assert (found.threshold, found.missing, found.accepted) == (None, 114, 0.0)


@pytest.mark.parametrize(("max_loss", "confidence", "needed"), [(0.02, 0.9, 114), (0.05, 0.95, 59), (1.0, 0.9, 0)])
def test_the_fewest_labels_are_just_enough(max_loss: float, confidence: float, needed: int) -> None:
    assert labels_needed(max_loss, confidence) == needed
    assert promise(perfect(needed), GRID, max_loss=max_loss, confidence=confidence).threshold == 0.0
    if needed:
        short = promise(perfect(needed - 1), GRID, max_loss=max_loss, confidence=confidence)
        assert (short.threshold, short.missing) == (None, 1)


def test_nothing_is_promised_at_no_loss() -> None:
    assert promise(perfect(500), GRID, max_loss=0.0, confidence=0.9).threshold is None


def test_the_search_ends_at_the_first_that_fails() -> None:
    """Losses lie between 0.5 and 0.6; what is below them would pass on its own share of a larger sample, and isn't tried."""
    labels = perfect(300) + [Label(0.55, 1.0)] * 60 + [Label(0.2, 0.0)] * 5000
    found = promise(labels[:360], GRID, max_loss=0.02, confidence=0.9)
    assert found.threshold == 0.6
    assert found.accepted == pytest.approx(300 / 360)


def questions(rng: random.Random, count: int, *, grouped: bool, rate: float) -> list[Label]:
    """Drafts right with the probability they say, in documents whose difficulty is shared; drawn at some rate."""
    made: list[Label] = []
    while len(made) < count:
        hard, group = rng.gauss(0, 0.25) if grouped else 0.0, f"d{len(made)}" if grouped else ""
        for _ in range(rng.randint(1, 6) if grouped else 1):
            confidence = rng.random()
            right = rng.random() < min(1.0, max(0.0, confidence - hard))
            drawn = rng.random() < rate
            made.append(Label(confidence, float(not right) if drawn else None, rate, rate, group))
    return made


@pytest.mark.parametrize(("grouped", "rate"), [(False, 1.0), (True, 1.0), (False, 0.4)])
def test_the_loss_passes_the_bound_no_more_often_than_promised(grouped: bool, rate: float) -> None:
    rng = random.Random(11)
    population = questions(rng, 40000, grouped=grouped, rate=1.0)
    risk = {t: sum(label.loss or 0.0 for label in population if label.confidence >= t) / len(population) for t in GRID}
    broken = kept = 0
    for _ in range(200):
        found = promise(questions(rng, 500, grouped=grouped, rate=rate), GRID, max_loss=0.05, confidence=0.9)
        kept += found.threshold is not None and found.threshold < 1.0
        broken += found.threshold is not None and risk[found.threshold] > 0.05
    assert broken <= 28  # 20 expected at most; 28 with probability 0.97
    assert kept > 120, "a promise that accepts nothing is empty"


def test_a_loss_in_parts_counts_by_its_size() -> None:
    few = [Label(0.9, 0.25 if i % 10 == 0 else 0.0) for i in range(400)]
    assert p_value(few, 0.5, 0.05) < 0.1 < p_value(few, 0.5, 0.02)


def test_labels_drawn_rarely_prove_less() -> None:
    seldom = [Label(0.9, 0.0 if i % 20 == 0 else None, 0.05, 0.05) for i in range(400)]
    assert p_value(seldom, 0.5, 0.02) > p_value(perfect(400), 0.5, 0.02)


def test_a_time_of_few_comparisons_does_not_undo_what_certain_labels_proved() -> None:
    sampled = [Label(0.9, 0.0 if i % 3 == 0 else None, 1 / 3, 1 / 3) for i in range(60)]
    assert p_value([*perfect(200), *sampled], 0.5, 0.02) < 0.1


def mixed_times(rng: random.Random, count: int, threshold: float) -> list[Label]:
    """First all are compared, then a fifth of those above a threshold and all below it."""
    made = []
    for at in range(count):
        confidence = rng.random()
        loss = float(rng.random() > confidence)
        early = at < count // 4
        rate = 1.0 if early else 0.2
        probability = 1.0 if early or confidence < threshold else rate
        made.append(Label(confidence, loss if rng.random() < probability else None, probability, rate))
    return made


def test_the_promise_holds_over_times_of_different_sampling() -> None:
    rng = random.Random(5)
    risk = {t: (1 - t) ** 2 / 2 for t in GRID}  # of accepting all with confidence c above t, wrong with 1 - c
    found = [promise(mixed_times(rng, 600, 0.7), GRID, max_loss=0.05, confidence=0.9) for _ in range(200)]
    assert sum(f.threshold is not None and risk[f.threshold] > 0.05 for f in found) <= 28
    assert sum(f.accepted > 0 for f in found) > 150


def clustered(rng: random.Random, sizes: tuple[int, int], together: float) -> list[list[tuple[float, float]]]:
    """Documents of questions whose drafts are often right or wrong together: confidence and loss of each."""
    documents = []
    for _ in range(120):
        hard, luck, base = rng.gauss(0, 0.25), rng.random(), rng.random() * 0.4
        document = []
        for _ in range(rng.randint(*sizes)):
            confidence = base + 0.6 * rng.random()
            draw = luck if rng.random() < together else rng.random()
            document.append((confidence, float(draw > min(1.0, max(0.0, 1.1 * confidence - hard)))))
        documents.append(document)
    return documents


@pytest.mark.parametrize(("sizes", "together"), [((1, 4), 0.3), ((5, 12), 0.5), ((4, 8), 0.9)])
@pytest.mark.parametrize("max_loss", [0.02, 0.05])
def test_answers_that_cluster_by_document_break_no_promise(
    sizes: tuple[int, int], together: float, max_loss: float
) -> None:
    rng = random.Random(21)
    population = clustered(rng, sizes, together)
    questions = [q for document in population for q in document]
    risk = {t: sum(loss for c, loss in questions if c >= t) / len(questions) for t in GRID}
    broken = kept = 0
    for _ in range(100):
        drawn = [rng.choice(population) for _ in population]
        labels = [Label(c, loss, group=f"d{at}") for at, document in enumerate(drawn) for c, loss in document]
        found = promise(labels, GRID, max_loss=max_loss, confidence=0.9)
        broken += found.threshold is not None and risk[found.threshold] > max_loss
        kept += found.accepted > 0
    assert broken <= 17  # 10 expected at most; 17 with probability 0.99
    assert kept > 50, "a promise that accepts nothing is empty"


def test_one_document_proves_nothing() -> None:
    assert p_value([Label(0.9, 0.0, group="d")] * 500, 0.5, 0.02) > 0.9
    assert p_value([Label(0.9, 0.0, group=f"d{i // 2}") for i in range(500)], 0.5, 0.02) < 0.1
