"""The pair set: what the templates make, and that near misses never hit."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.agents.cache.threshold import Threshold
from understudy.apps.bench.cache import hits, people_pairs
from understudy.apps.bench.cache_prior import same_facts, training_questions
from understudy.apps.bench.data import Question, medquad_questions, squad_questions, tatqa_questions
from understudy.apps.bench.pairs import MISSES, PARAPHRASES, near_misses, paraphrases
from understudy.retrieval.embed import MiniLM

OWN = [
    "Who founded Acme Instruments in Halden?",
    "When did Acme buy Beta from Gamma?",
    "What was the total revenue of Acme in 2019?",
    "How many of the two million shares were not sold before 2018?",
    "What is the average cost per share in the first quarter?",
    "Which company reported the highest profit in 2020?",
    "When was the Halden plant opened?",
    "How did prices rise from Oslo to Bergen in 2017?",
    "Where is the head office of Acme located?",
    "What were the causes of the loss in Norway?",
]


def test_every_near_miss_of_the_own_sample_is_one() -> None:
    pairs = near_misses(OWN, 50, 3)
    assert {p.kind for p in pairs} >= set(MISSES) - {"reversed voice"}
    assert [p for p in pairs if same_facts(p)] == []


def test_most_paraphrases_of_the_own_sample_have_equal_facts() -> None:
    pairs = paraphrases(OWN, 50, 3)
    assert len({p.kind for p in pairs}) > len(PARAPHRASES) / 2
    assert all(p.same for p in pairs)
    assert sum(map(same_facts, pairs)) / len(pairs) > 0.7


def test_pairs_are_the_same_for_the_same_seed() -> None:
    assert paraphrases(OWN, 5, 1) == paraphrases(OWN, 5, 1)
    assert near_misses(OWN, 5, 1) == near_misses(OWN, 5, 1)


def test_questions_of_people_are_the_same_where_their_answers_are() -> None:
    asked = [
        Question("1", "When?", "d", ("in 2019",), True),
        Question("2", "In which year?", "d", ("2019",), True),
        Question("3", "Who?", "d", (), False),
        Question("4", "Who?", "e", ("Ada",), True),
    ]
    assert [(p.first, p.second, p.same) for p in people_pairs(asked)] == [
        ("When?", "In which year?", False),
        ("When?", "Who?", False),
        ("In which year?", "Who?", False),
    ]


@pytest.mark.data
def test_on_measured_questions_one_near_miss_in_a_hundred_hits_at_most_and_half_of_the_paraphrases(
    real_data: Path,
) -> None:
    measured = [*squad_questions(real_data), *tatqa_questions(real_data), *medquad_questions(real_data)[:500]]
    texts = list(dict.fromkeys(q.text for q in measured))
    threshold, encoder = Threshold(0.75, 0, 0, "prior"), MiniLM()
    misses, same = near_misses(texts, 45, 17), paraphrases(texts, 30, 17)
    assert len(misses) >= 400
    assert len(same) >= 400
    assert sum(hits(misses, threshold, encoder)) <= len(misses) / 200
    assert sum(hits(same, threshold, encoder)) >= len(same) * 0.7


@pytest.mark.data
def test_no_measured_question_is_among_those_of_the_prior(real_data: Path) -> None:
    learned = set(training_questions(real_data))
    measured = {q.text for q in squad_questions(real_data)}
    assert len(learned) > 5000
    assert len(learned & measured) < 10  # the same words asked of another article
