"""What of a collection may go to an expert: one table, by how sensitive it is and how far the expert reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from understudy.core.errors import SettingsError
from understudy.core.provenance import UNKNOWN
from understudy.core.settings import Allowance, CollectionSettings, Egress, Reach, Sensitivity, Settings

__all__ = ["TABLE", "Policy", "Rule"]

TABLE: Mapping[tuple[Sensitivity, Reach], Allowance] = {
    ("open", "cloud"): "all",
    ("open", "private"): "all",
    ("redacted", "cloud"): "redacted",
    ("redacted", "private"): "all",
    ("local", "cloud"): "question",
    ("local", "private"): "question",
}
LEAST_TO_MOST: tuple[Allowance, ...] = get_args(Allowance)


@dataclass(frozen=True)
class Rule:
    """What one collection gives one expert."""

    collection: str
    expert: str
    reach: Reach
    sensitivity: Sensitivity
    egress: Egress
    allows: Allowance
    """With `egress = "never"`, nothing."""
    overridden: bool
    """Whether a key of the collection's own table says so."""

    @property
    def asks(self) -> bool:
        """Whether a person has to approve what goes."""
        return self.egress == "ask" and self.allows != "nothing"

    @property
    def refusal(self) -> str | None:
        """Why nothing may go; `None` where something may."""
        if self.allows != "nothing":
            return None
        if self.egress == "never":
            return f"collection {self.collection!r} never goes to an expert (egress = 'never')"
        return f"collection {self.collection!r} gives a {self.reach} expert nothing ({self.reach} = 'nothing')"


class Policy:
    """The rules of a workspace.

    Args:
        settings: experts and collections.
        stored: the sensitivity that a collection was ingested as, for where the settings name none.

    Raises:
        SettingsError: a collection's own table gives away more than its sensitivity allows.
    """

    def __init__(self, settings: Settings, stored: Callable[[str], str | None]) -> None:
        self._collections = settings.collections
        self._stored = stored
        self._reach: dict[str, Reach] = {e.name: e.reach for e in settings.experts}
        for name, given in settings.collections.items():
            check_override(name, given)

    def rule(self, collection: str, expert: str) -> Rule:
        """What a collection gives an expert; one that nobody configured counts as `cloud`."""
        return self.reaching(collection, expert, self._reach.get(expert, "cloud"))

    def reaching(self, collection: str, name: str, reach: Reach) -> Rule:
        """What a collection gives whatever `name` stands for, such as a tool, at this reach."""
        given = self._collections.get(collection, CollectionSettings())
        sensitivity = self.sensitivity(collection)
        usual = TABLE[sensitivity, reach]
        own = given.cloud if reach == "cloud" else given.private
        # What the sensitivity allows may be stored, where no check of the settings can see it.
        allows = usual if own is None else min(own, usual, key=rank) if reach == "cloud" else own
        if given.egress == "never":
            allows = "nothing"
        return Rule(collection, name, reach, sensitivity, given.egress, allows, own is not None)

    def strictest(self, collections: Iterable[str], expert: str) -> Rule:
        """The rule for something that draws on several collections: the least of what each gives, asked if any asks."""
        return least(self.rule(collection, expert) for collection in collections)

    def strictest_reaching(self, collections: Iterable[str], name: str, reach: Reach) -> Rule:
        """The same of whatever `name` stands for, such as a tool, at this reach."""
        return least(self.reaching(collection, name, reach) for collection in collections)

    def informs(self, collections: Iterable[str], expert: str) -> bool:
        """Whether an expert would see evidence, and not the question alone."""
        return self.strictest(collections, expert).allows in ("redacted", "all")

    def asks(self, collections: Iterable[str], expert: str) -> bool:
        """Whether any of the collections wants a person to approve."""
        return any(self.rule(collection, expert).asks for collection in collections)

    def sensitivity(self, collection: str) -> Sensitivity:
        """How sensitive a collection is: by the settings, else as it was ingested, else `redacted`."""
        if collection == UNKNOWN:
            return "local"
        given = self._collections.get(collection, CollectionSettings())
        # A table that names only `egress` says nothing of sensitivity: its default must not override what is stored.
        if "sensitivity" in given.model_fields_set:
            return given.sensitivity
        stored = self._stored(collection)
        if stored is None:
            return given.sensitivity
        known = next((s for s in get_args(Sensitivity) if s == stored), None)
        return "local" if known is None else known  # a word that this program doesn't know allows nothing more

    def compares(self, collection: str) -> bool:
        """Whether drafts may be compared with an expert's answers at any time, with nobody asked for it.

        Not where an expert sees no evidence: what it says then measures nothing.
        """
        rules = [self.rule(collection, expert) for expert in self._reach]
        return any(r.allows in ("redacted", "all") and not r.asks for r in rules)

    def listing(self, collections: Iterable[str]) -> list[dict[str, Any]]:
        """Every collection with every expert, for people: those that the settings name too."""
        names = sorted({*collections, *self._collections})
        return [shown(self.rule(collection, expert)) for collection in names for expert in self._reach]


def least(rules: Iterable[Rule]) -> Rule:
    """That which gives the least, and asks if any does."""
    return min(rules, key=lambda r: (rank(r.allows), not r.asks))


def check_override(name: str, given: CollectionSettings) -> None:
    """Raise `SettingsError` where a table contradicts itself."""
    if given.cloud is None or "sensitivity" not in given.model_fields_set:
        return
    most = TABLE[given.sensitivity, "cloud"]
    if rank(given.cloud) > rank(most):
        raise SettingsError(
            f"collections.{name}.cloud = {given.cloud!r} gives away more than sensitivity = {given.sensitivity!r} "
            f"allows ({most!r}); change one of the two"
        )


def rank(allowance: Allowance) -> int:
    """How much is given, from 0."""
    return LEAST_TO_MOST.index(allowance)


def shown(rule: Rule) -> dict[str, Any]:
    """A rule as plain data."""
    return {
        "collection": rule.collection,
        "expert": rule.expert,
        "sensitivity": rule.sensitivity,
        "reach": rule.reach,
        "egress": rule.egress,
        "allows": rule.allows,
        "asks": rule.asks,
        "overridden": rule.overridden,
    }
