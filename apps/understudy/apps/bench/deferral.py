"""Suite `deferral`: whom to ask, by several strategies on the same outcomes, and whether the promise holds.

The expert of the suite is called `oracle`: it gives the gold answer. A draft is right if it says the same as a gold
answer, by the function that quality is compared by in use (`agreement-4`) or in the form of the data set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.agents.deferral.agreement import agreement
from understudy.agents.deferral.calibration import COLLECTION, fit
from understudy.agents.deferral.derive import GRID, uncalibrated
from understudy.agents.deferral.reliability import expected_error
from understudy.apps.bench.answering import ask_all
from understudy.apps.bench.curves import areas, group_draws, quality_by_share
from understudy.apps.bench.data import Question, other_questions, sample, squad_questions, tatqa_questions
from understudy.apps.bench.promises import estimate_coverage, never_exceeded, tried
from understudy.apps.bench.replay import asked_pages, financebench_questions, replayed, verdicts
from understudy.apps.bench.routing import measure_routing
from understudy.apps.bench.workspaces import ready
from understudy.apps.metrics import interval
from understudy.apps.picture import draw_strategies, require_matplotlib
from understudy.core.errors import UserError
from understudy.core.types import ExpertAnswer, Outcome

__all__ = ["Case", "crossfitted", "measure_deferral"]

SIZES = {"squad": 1600, "tatqa": 1200, "policyqa": 500, "covidqa": 500}
DOMAINS = {"squad": "general", "tatqa": "finance", "policyqa": "law", "covidqa": "health"}
FOLDS = 5
SCHEDULES = 10_000
LEAST = 40
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A question, what was drafted, and whether that is right."""

    set: str
    group: str
    signals: dict[str, float]
    """Empty where nothing was drafted."""
    right: bool
    """As good as the oracle's answer: to a question that can't be answered, no draft is."""


def measure_deferral(data: Path, out: Path, limit: int | None, seed: int) -> dict[str, Any]:
    """Confidence, promise, strategies, budget, real experts replayed, and routing by the question alone.

    Draws `out/deferral.png` as well. Raises `MissingExtraError`, and `UserError` for a limit that is too small, before
    anything is measured.
    """
    require_matplotlib()
    if limit is not None and limit < LEAST:
        raise UserError(f"limit {limit} is too small to fit anything; give at least {LEAST}")
    cases = [case for name in SIZES for case in cases_of(name, data, out, limit, seed)]
    confidence, plain = crossfitted(cases, seed), np.array([plain_score(c) for c in cases])
    right = np.array([float(c.right) for c in cases])
    drafted = np.array([bool(c.signals) for c in cases])
    curves = [
        {"domain": domain, **row}
        for domain, at in domains(cases).items()
        for row in quality_by_share(by_strategy(confidence, plain, at), right[at], np.ones(len(at)))
    ]
    draw_strategies(curves, out / "deferral.png")
    return {
        "questions": len(cases),
        "drafts": int(drafted.sum()),
        "local_right": round(float(right.mean()), 4),
        "confidence": reliability(cases, confidence, right, drafted, seed),
        "promise": promises(cases, seed),
        "accuracy_from_labels": estimate_coverage(
            confidence[drafted], right[drafted], [c.group for c in cases if c.signals], seed
        ),
        "areas": strategies(cases, confidence, plain, right, seed),
        "quality_by_share_consulted": curves,
        "replayed": replays(data, out, limit, cases, seed),
        "budget": never_exceeded(SCHEDULES if limit is None else min(limit, SCHEDULES), seed),
        "routing": measure_routing(data, limit, seed),
    }


def domains(cases: Sequence[Case]) -> dict[str, NDArray[np.int64]]:
    """The places of every domain's cases, and of all."""
    names = list(dict.fromkeys(DOMAINS[c.set] for c in cases))
    parts = {name: np.array([i for i, c in enumerate(cases) if DOMAINS[c.set] == name]) for name in names}
    return parts | {"all": np.arange(len(cases))}


def by_strategy(confidence: Floats, plain: Floats, at: NDArray[np.int64]) -> dict[str, Floats]:
    """Scores of some cases, ours first."""
    return {"ours": confidence[at], "plain_threshold": plain[at]}


def cases_of(name: str, data: Path, out: Path, limit: int | None, seed: int) -> list[Case]:
    """A set asked of the agent; `squad` over the whole collection, the others in their document."""
    questions = {
        "squad": lambda: squad_questions(data),
        "tatqa": lambda: tatqa_questions(data),
        "policyqa": lambda: other_questions(data, "policyqa", "test"),
        "covidqa": lambda: other_questions(data, "covidqa", "all"),
    }[name]()
    chosen = sample(questions, min(limit or SIZES[name], SIZES[name]), seed)
    return asked_cases(name, data / name / "documents.jsonl.gz", chosen, out, scoped=name != "squad")


def asked_cases(name: str, documents: Path, questions: Sequence[Question], out: Path, *, scoped: bool) -> list[Case]:
    """What the agent made of some questions."""
    outcomes: list[Outcome] = []
    with ready(name, documents, out) as agent:
        agent.deferral.listeners.append(outcomes.append)
        scored = ask_all(agent, questions, scoped=scoped, label=f"asking {name}")
    noted = iter(outcomes)  # none for a question that failed with an error
    return [case_of(name, s.question, next(noted) if s.answer else None) for s in scored]


def case_of(name: str, question: Question, outcome: Outcome | None) -> Case:
    """What became of a question; the set stands for the collection that it would be in use."""
    if outcome is None or outcome.draft is None:
        return Case(name, question.document, {}, not question.answerable)  # the oracle finds nothing either
    oracle = [ExpertAnswer(text=gold, expert="oracle") for gold in question.answers]
    right = any(agreement(outcome.draft, answer) == 1.0 for answer in oracle)
    kept = {key: value for key, value in outcome.signals.items() if not key.startswith(COLLECTION)}
    return Case(name, question.document, kept | {f"{COLLECTION}{name}": 1.0}, right)


def plain_score(case: Case) -> float:
    """The plain strategy: the mean token probability."""
    return math.exp(case.signals["mean_logprob"]) if case.signals else -1.0


def crossfitted(cases: Sequence[Case], seed: int) -> Floats:
    """Confidence of every case by a calibrator fitted on other documents; -1 where nothing was drafted."""
    from sklearn.model_selection import GroupKFold  # type: ignore[import-untyped]

    found = np.full(len(cases), -1.0)
    at = [i for i, c in enumerate(cases) if c.signals]
    groups = [cases[i].group for i in at]
    folds = min(FOLDS, len(set(groups)))
    for train, test in GroupKFold(folds, shuffle=True, random_state=seed).split(at, groups=groups):
        scores = judged([cases[at[i]] for i in train], [cases[at[i]] for i in test])
        found[[at[i] for i in test]] = scores
    return found


def judged(known: Sequence[Case], asked: Sequence[Case]) -> Floats:
    """Confidence of some cases by a calibrator fitted on others."""
    made = [c for c in known if c.signals]
    calibrator = fit([c.signals for c in made], [c.right for c in made], groups=[c.group for c in made])
    return np.array(
        [
            -1.0 if not c.signals else calibrator.probability(c.signals) if calibrator else uncalibrated(c.signals)
            for c in asked
        ]
    )


def reliability(
    cases: Sequence[Case], confidence: Floats, right: Floats, drafted: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    """Calibration error of all drafts together, and the area under the ROC curve of every set."""
    at: list[int] = np.flatnonzero(drafted).tolist()
    ones = np.ones(len(at))
    error = expected_error(confidence[at], right[at], ones)
    groups = [cases[i].group for i in at]
    low, high = np.quantile(
        [expected_error(confidence[at][d], right[at][d], np.ones(len(d))) for d in group_draws(groups, 500, seed)],
        [0.025, 0.975],
    )
    names = list(dict.fromkeys(c.set for c in cases))
    rows = []
    for name in names:
        here = [i for i in at if cases[i].set == name]
        raw = np.array([uncalibrated(cases[i].signals) for i in here])
        groups = [cases[i].group for i in here]
        rows.append(
            {
                "set": name, "drafts": len(here), "right": int(right[here].sum()),
                "auroc": auroc_over_groups(confidence[here], right[here], groups, seed),
                "uncalibrated_auroc": auroc_over_groups(raw, right[here], groups, seed),
            }
        )  # fmt: skip
    figure = {"value": round(error, 4), "low": round(float(low), 4), "high": round(float(high), 4), "n": len(at)}
    return {"expected_calibration_error": figure, "sets": rows}


def auroc_over_groups(score: Floats, right: Floats, groups: Sequence[str], seed: int) -> dict[str, Any] | None:
    """The area under the ROC curve, with its 95% bootstrap interval over whole groups; `None` of one class alone."""
    from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

    if right.min() == right.max():
        return None
    drawn = [d for d in group_draws(groups, 500, seed) if right[d].min() < right[d].max()]
    low, high = np.quantile([roc_auc_score(right[d], score[d]) for d in drawn], [0.025, 0.975])
    value = float(roc_auc_score(right, score))
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4), "n": len(score)}


def promises(cases: Sequence[Case], seed: int) -> list[dict[str, Any]]:
    """The calibrator from half of the documents; the other half is the population that sets are drawn from.

    The plain threshold is tried at a hundred quantiles of its scores, which lie close together.
    """
    names = sorted({c.group for c in cases})
    chosen = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())
    known, pool = [c for c in cases if c.group in chosen], [c for c in cases if c.group not in chosen]
    ours, plain = judged(known, pool), np.array([plain_score(c) for c in pool])
    steps = np.quantile([plain_score(c) for c in known if c.signals], np.linspace(0, 1, 101)).tolist()
    loss = np.array([0.0 if c.right or not c.signals else 1.0 for c in pool])
    rows = []
    for population in ("all", *SIZES):
        at = [i for i, c in enumerate(pool) if population in ("all", c.set)]
        both = {"ours": (ours[at], GRID), "plain": (plain[at], steps)}
        found = tried(both, loss[at], [pool[i].group for i in at], seed)
        rows += [{"population": population, **row} for row in found]
    return rows


def strategies(
    cases: Sequence[Case], confidence: Floats, plain: Floats, right: Floats, seed: int
) -> list[dict[str, Any]]:
    """Areas under the cost and quality curve of every domain, against an expert that is always right."""
    rows = []
    for domain, at in domains(cases).items():
        groups = [cases[i].group for i in at]
        found = areas(by_strategy(confidence, plain, at), right[at], np.ones(len(at)), groups, seed)
        rows.append({"domain": domain, "questions": len(at), "always_local": round(float(right[at].mean()), 4),
                     "always_expert_oracle": 1.0, **found})  # fmt: skip
    return rows


def replays(data: Path, out: Path, limit: int | None, known: Sequence[Case], seed: int) -> list[dict[str, Any]]:
    """Real large models on `financebench`, where confidence comes from the other sets."""
    questions = sample(financebench_questions(data), limit or 10**9, seed)
    cases = asked_cases("financebench", asked_pages(data, out), questions, out, scoped=True)
    scores = {"ours": judged(known, cases), "plain_threshold": np.array([plain_score(c) for c in cases])}
    return replayed(
        [q.id for q in questions], [c.group for c in cases], scores, np.array([float(c.right) for c in cases]),
        verdicts(data), lambda values: interval(values.tolist(), seed), seed,
    )  # fmt: skip
