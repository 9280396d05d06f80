"""The reference of suite `access`: who may be given what, worked out from what happened, with nothing of the project's.

It keeps the labels that collections and principals have now, and of every kept thing the collections that it rests on
with the labels of that moment. It knows no grounds, no permits and no views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Kept", "Tally", "Truth", "planted"]

OWNER = "owner"


@dataclass(frozen=True)
class Kept:
    """Something that was kept."""

    kind: str
    name: str
    """By which it is told from others of its kind."""
    whose: str
    rests: frozenset[tuple[str, str]]
    """Collections, each with its label when the thing was kept, or was added to."""


@dataclass
class Truth:
    """The state of the world."""

    holds: dict[str, set[str]]
    """Labels of every principal but the owner."""
    labels: dict[str, str]
    """Of every collection."""
    documents: dict[str, dict[str, str]] = field(default_factory=dict)
    """By collection and id, the secret that the document holds now."""
    kept: list[Kept] = field(default_factory=list)

    def reads(self, who: str, collection: str) -> bool:
        """Whether somebody may read a collection."""
        return who == OWNER or self.labels[collection] in self.holds[who]

    def open_to(self, who: str, thing: Kept) -> bool:
        """Whether somebody may be given what rests on several collections."""
        if who == OWNER:
            return True
        return all(then in self.holds[who] and self.labels[c] in self.holds[who] for c, then in thing.rests)

    def mine(self, who: str, thing: Kept) -> bool:
        """The same of what is personal: remembered answers and threads."""
        return thing.whose == who and self.open_to(who, thing)

    def teaches(self, label: str, thing: Kept) -> bool:
        """Whether an adapter under a label may be made of it: then and now, it has no other."""
        return all(then == label == self.labels[c] for c, then in thing.rests)

    def of(self, kind: str) -> Iterable[Kept]:
        """What was kept of a kind."""
        return (thing for thing in self.kept if thing.kind == kind)

    def keep(self, kind: str, name: str, whose: str, *collections: str, more: Iterable[tuple[str, str]] = ()) -> Kept:
        """Something is kept now; what it replaces is gone."""
        rests = frozenset((c, self.labels[c]) for c in collections) | frozenset(more)
        thing = Kept(kind, name, whose, rests)
        self.kept = [t for t in self.kept if (t.kind, t.name) != (kind, name)] + [thing]
        return thing


@dataclass
class Tally:
    """What the checks came to."""

    checks: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    """Checks in which something was to be given, and was."""
    withheld: Counter[str] = field(default_factory=Counter)
    """Checks in which something was there that was not to be given."""
    leaks: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Of all kinds."""
        return self.checks.total()

    def compare(self, what: str, who: str, got: Iterable[str], expected: Iterable[str], there: Iterable[str]) -> None:
        """One check: what somebody got, what they were to get, and what there is."""
        found, due, all_of_it = set(got), set(expected), set(there)
        self.checks[what] += 1
        self.given[what] += bool(found & due)
        self.withheld[what] += bool(all_of_it - due)
        if found - due:
            self.leaks.append(f"{what}: {who} got {sorted(found - due)[:3]}")
        if due - found:
            self.lost.append(f"{what}: {who} did not get {sorted(due - found)[:3]}")


def planted(_collection: str) -> list[tuple[str, str, str]]:
    """The one document that planted examples rest on, as it always is."""
    return [("d", "1", "/d")]
