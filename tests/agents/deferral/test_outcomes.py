"""From outcomes to a threshold in force: what is kept, what is left out, and when it is derived anew."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from understudy.agents.deferral.agreement import agreement
from understudy.agents.deferral.derive import derive, load, save, stale
from understudy.agents.deferral.outcomes import OutcomeStore, Peers, Row
from understudy.agents.deferral.pool import Record
from understudy.agents.deferral.reliability import calibration_of
from understudy.agents.deferral.service import Deferral
from understudy.agents.deferral.signals import Nearest, track_record
from understudy.core.errors import WorkspaceError
from understudy.core.settings import DeferralSettings
from understudy.core.types import Citation, Draft, Evidence, ExpertAnswer, Outcome, Scope
from understudy.core.workspace import Workspace

NOBODY = Nearest(lambda texts: [[1.0]] * len(texts), lambda collection: [])
LOOSE = DeferralSettings(max_quality_loss=0.1, confidence=0.9)


def always_m(collection: str) -> str:
    return "m"


class Bare:
    """One model everywhere, in no adapter."""

    def __init__(self, named: str = "m") -> None:
        self.named = named

    def name(self, collection: str) -> str:
        return self.named

    def adapters(self) -> str | None:
        return None


BARE = Bare()


def draft(text: str = "1961") -> Draft:
    return Draft(text=text, citations=(), mean_logprob=-0.1, min_logprob=-0.2, removed_mass=0.0)


def outcome(number: int = 0, *, said: str | None = "1961", expert: str | None = "1961", **changes: object) -> Outcome:
    values: dict[str, object] = {
        "question": f"question {number}", "scope": Scope(), "draft": draft(said) if said else None,
        "signals": {"mean_logprob": -0.1}, "small_model": "m",
        "expert": ExpertAnswer(text=expert, expert="gpt") if expert else None,
    }  # fmt: skip
    return Outcome.model_validate(values | changes)


@pytest.mark.parametrize(
    ("said", "expert", "same"),
    [
        ("1,000", "1000", True),
        ("12%", "0.12", True),
        ("12", "12 million", False),
        ("the red house", "Red house", True),
        ("paid in March 2020 by the tenant", "paid in March 2020 by the tenant alone", True),
        ("March", "April", False),
        ("", "", False),
        ("$1.5bn", "$15bn", False),
        ("1.2 trillion", "12 trillion", False),
        ("-5 euros", "5 euros", False),
        ("revenue of 12 million euros", "revenue of 13 million euros", False),
        ("revenue was 12 million in fiscal year 2019", "revenue was 12 billion in fiscal year 2019", False),
        ("the contract does not allow it at all", "the contract does allow it at all", False),
        ("$5", "€5", False),
        ("$5 million", "5 million", True),
    ],
)
def test_agreement(said: str, expert: str, same: bool) -> None:
    assert agreement(draft(said), ExpertAnswer(text=expert, expert="gpt")) == float(same)


def test_an_expert_that_finds_nothing_agrees_with_no_draft() -> None:
    assert agreement(draft("x"), ExpertAnswer(text="x", expert="gpt", not_in_documents=True)) == 0.0


def test_what_is_kept_of_a_question(tmp_path: Path) -> None:
    store = OutcomeStore(tmp_path / "o.sqlite", lambda collection: collection == "default", ["gpt"])
    store.note(outcome(1), 1.0)
    store.note(outcome(2, expert="1962"), 1.0)
    store.note(outcome(3, said=None), 1.0)
    store.note(outcome(4, expert=None, drawn=False, probability=0.25), 1.0)
    store.note(outcome(5, expert=None), 1.0)  # deferred, and no expert answered
    store.note(outcome(8, expert=None, drawn=True, probability=0.5), 1.0)  # accepted and drawn, and none answered
    store.note(outcome(1, expert="1999"), 1.0)  # asked again: no second label
    store.note(outcome(6, scope=Scope(collection="secret")), 1.0)
    store.note(outcome(7, small_model="another"), 1.0)
    store.note(outcome(9), 0.0)  # at a time when nothing was compared
    rows = store.rows(always_m)
    assert [(r.drafted, r.quality, r.probability) for r in rows] == [
        (True, 1.0, 1.0), (True, 0.0, 1.0), (False, None, 1.0), (True, None, 0.25), (True, None, 0.5),
    ]  # fmt: skip
    assert [r.failed for r in rows] == [False, False, False, False, True]
    assert store.labels(always_m) == 2
    store.note_call("gpt", "finance", usable=True)
    store.note_call("gpt", "finance", usable=False)
    assert (store.record("gpt", "finance"), store.record("gpt", "health")) == (Record(1, 2), Record())
    store.close()
    assert b"question 1" not in b"".join(p.read_bytes() for p in tmp_path.iterdir()), "no words are kept"


def test_a_store_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "o.sqlite").write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    with pytest.raises(WorkspaceError, match="corrupt or unwritable"):
        OutcomeStore(tmp_path / "o.sqlite", lambda collection: True, [])


def rows(count: int, seed: int = 3) -> list[Row]:
    """Drafts whose one signal says with what probability they are right."""
    rng = random.Random(seed)
    made = []
    for _ in range(count):
        sure = rng.random()
        role = rng.choice(["train", "calibrate", "calibrate"])
        made.append(Row(role, True, {"support": 8 * sure - 3}, 1.0, float(rng.random() < min(1.0, 0.3 + sure))))
    return made


def test_a_threshold_comes_with_labels_and_the_confidence_means_what_it_says() -> None:
    few = derive(rows(15), LOOSE, "m")
    assert few.threshold is None
    many = rows(4000)
    found = derive(many, LOOSE, "m")
    assert found.threshold is not None
    assert 0.05 < found.consults < 0.9
    report = calibration_of(many, found)
    assert report.ece is not None
    assert report.auroc is not None
    assert report.ece.value < 0.06
    assert report.auroc.low > 0.6
    assert report.bins[0].right < report.bins[-1].right


def test_comparisons_that_failed_count_as_lost_where_it_is_tested_and_nowhere_else() -> None:
    known = [Row(role, True, {"support": 1.0}, 1.0, 1.0) for role in ("train", "calibrate") for _ in range(200)]
    assert derive(known, LOOSE, "m").threshold is not None
    failed = [Row(role, True, {"support": 1.0}, 0.5, None, 0.5, failed=True) for role in ("train", "calibrate")] * 40
    found = derive([*known, *failed], LOOSE, "m")
    assert (found.consults, found.labels) == (1.0, 400)
    assert calibration_of([*known, *failed], found).accuracy.value == 1.0  # type: ignore[union-attr]


def test_unlabelled_questions_prove_nothing() -> None:
    seldom = [Row("calibrate", True, {"support": 1.0}, 0.3, None, 0.3)] * 1000
    found = derive(seldom, DeferralSettings(), "m")
    assert (found.threshold, found.missing) == (None, 114)


def test_another_expert_begins_anew_with_and_without_labels(tmp_path: Path) -> None:
    first = OutcomeStore(tmp_path / "o.sqlite", lambda collection: True, ["gpt"])
    first.note(outcome(1), 1.0)
    first.note(outcome(2, expert=None, drawn=False, probability=0.25), 0.25)
    first.close()
    second = OutcomeStore(tmp_path / "o.sqlite", lambda collection: True, ["gpt", "claude"])
    assert second.rows(always_m) == []
    second.close()


def test_no_labels_is_no_crash() -> None:
    found = derive([], LOOSE, "m")
    assert (found.threshold, found.missing, found.consults) == (None, 22, 1.0)
    assert calibration_of([], found).bins == ()


def test_a_derivation_is_kept_and_grows_stale(tmp_path: Path) -> None:
    path = tmp_path / "deferral.json"
    assert load(path) is None
    held = derive(rows(400), LOOSE, "m")
    save(held, path)
    assert load(path) == held
    path.write_text("{")
    assert load(path) is None, "one that can't be read is derived anew"
    path.write_bytes(b"\xff\xfe")
    assert load(path) is None
    assert not stale(held, LOOSE, "m", [], held.labels + 9)
    assert stale(held, LOOSE, "m", [], int(held.labels * 1.25) + 1)
    assert stale(held, LOOSE, "another model", [], held.labels)
    assert stale(held, DeferralSettings(), "m", [], held.labels)


def test_deferral_learns_as_labels_come_and_remembers_over_a_restart(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    deferral = Deferral(workspace, LOOSE, "m", BARE, lambda collection: True, ["gpt"], NOBODY)
    assert not deferral.judge().judge("q", Scope(), draft(), Evidence(), {}).accept
    for number in range(120):
        deferral.note(outcome(number))
    assert deferral.derivation.threshold is not None
    labels = deferral.derivation.labels
    assert labels >= 90
    deferral.close()
    again = Deferral(workspace, LOOSE, "m", BARE, lambda collection: True, ["gpt"], NOBODY)
    assert again.derivation.threshold is not None
    assert again.judge().judge("q", Scope(), draft(), Evidence(), {}).accept
    again.close()
    replaced = Deferral(workspace, LOOSE, "m", BARE, lambda collection: True, ["claude"], NOBODY)
    assert replaced.derivation.threshold is None, "a promise is against the experts that there are"
    replaced.close()
    other = Deferral(workspace, LOOSE, "another model", Bare("another model"), lambda collection: True, ["gpt"], NOBODY)
    assert other.derivation.threshold is None, "a promise is of one model"
    other.close()


def test_distance_to_what_an_expert_answered() -> None:
    vectors = {"near": [1.0, 0.0], "far": [0.0, 1.0], "asked": [1.0, 0.0]}
    nearest = Nearest(lambda texts: [vectors[t] for t in texts], lambda collection: [("far", ())])
    assert nearest.distance("asked", Scope()) == pytest.approx(1.0)
    nearest.add("near", Scope())
    assert nearest.distance("asked", Scope()) == pytest.approx(0.0)
    nobody = Nearest(lambda texts: [vectors[t] for t in texts], lambda collection: [])
    assert nobody.distance("asked", Scope()) is None
    nobody.add("near", Scope())
    assert nobody.distance("asked", Scope()) == pytest.approx(0.0)


def test_the_sampling_in_force_is_kept_with_every_question_whatever_became_of_it(tmp_path: Path) -> None:
    deferral = Deferral(Workspace.open(tmp_path), LOOSE, "m", BARE, lambda collection: True, ["gpt"], NOBODY)
    for number in range(120):
        deferral.note(outcome(number))
    assert {row.in_force for row in deferral.rows()[:20]} == {1.0}, "nothing was accepted yet"
    rate = deferral.judge().in_force("default")
    assert 0.02 < rate < 1.0
    deferral.note(outcome(500, expert=None, drawn=False, probability=rate))
    deferral.note(outcome(501, said=None))
    assert [row.in_force for row in deferral.rows()[-2:]] == [rate, rate]
    deferral.close()


def test_a_no_that_rests_on_a_search_in_vain_agrees_with_an_expert_that_finds_nothing() -> None:
    nothing = ExpertAnswer(text="No", not_in_documents=True, expert="gpt")
    searched = Citation(kind="absence", document="d", title="d", location="", start=0, end=0, quote="", score=1.0)
    assert agreement(draft("No").model_copy(update={"citations": (searched,)}), nothing) == 1.0
    assert agreement(draft("No"), nothing) == 0.0
    quote = searched.model_copy(update={"kind": "quote", "quote": "x", "end": 1})
    assert agreement(draft("No").model_copy(update={"citations": (searched, quote)}), nothing) == 0.0


def test_peers_are_the_same_question_of_other_documents_answered_by_the_same_model(tmp_path: Path) -> None:
    store = OutcomeStore(tmp_path / "o.sqlite", lambda collection: True, ["gpt"])
    for n, (said, expert) in enumerate([("No", "No"), ("No", "Yes"), ("Yes", "Yes")]):
        store.note(outcome(said=said, expert=expert, question="Is there a cap?", scope=Scope(document=f"d{n}")), 1.0)
    store.note(outcome(said="No", expert="No", question="Is there a floor?", scope=Scope(document="d0")), 1.0)
    store.note(outcome(said="No", expert="No", question="Is there a cap?", small_model="other"), 1.0)
    found = store.peers("m", "is there a  cap?", Scope(document="d9"), "no")
    assert found == Peers(compared=3, right=2.0, same_compared=2, same_right=1.0)
    own = store.peers("m", "Is there a cap?", Scope(document="d1"), "No")
    assert own == Peers(compared=2, right=2.0, same_compared=1, same_right=1.0)
    assert store.peers("m", "Is there a cap?", Scope(collection="b"), "No").compared == 0
    record = track_record(found)
    assert record["peers_right"] > record["peers_right_saying_it"]
    assert store.has("m", "Is there a cap?", Scope(document="d0"))
    assert not store.has("m", "Is there a cap?", Scope(document="d7"))
