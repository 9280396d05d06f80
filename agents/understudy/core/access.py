"""Who may read what: principals with labels, collections with a label, and what a kept thing rests on.

Everything that is learned or remembered carries its **grounds**: the collections that it rests on, each with the label
that it had at the time. It is open to those who may read all of these collections now, and hold all of these labels. So
a change of a label takes away and never gives: what was kept under the old one is given neither to those who hold the
old one alone nor to those who hold the new one alone.

A workspace whose settings have no `[principals]` has one user, whatever name is given: everybody may read everything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from understudy.core.data import Data
from understudy.core.errors import AccessError
from understudy.core.settings import OWNER, Settings

__all__ = ["Access", "Ground", "Permit", "Principal", "grounds_of", "grounds_text", "joined"]


class Ground(Data):
    """A collection that something rests on, and the access label that it had then."""

    collection: str
    label: str


@dataclass(frozen=True)
class Principal:
    """Somebody who asks."""

    name: str
    labels: frozenset[str] | None
    """`None`: all there are, and those to come."""
    access: Access

    @property
    def restricted(self) -> bool:
        """Whether there is anything that they may not read."""
        return self.labels is not None

    def may_read(self, collection: str) -> bool:
        """Whether they may read a collection, if there is one of this name."""
        return self.labels is None or self.access.label(collection) in self.labels

    def may_use(self, grounds: Collection[Ground]) -> bool:
        """Whether they may read all that something rests on; nobody knows of what was kept before grounds were."""
        if self.labels is None:
            return True
        return bool(grounds) and all(g.label in self.labels and self.may_read(g.collection) for g in grounds)

    def administers(self, what: str) -> None:
        """Raise `AccessError` unless they may read everything: what concerns all takes the owner."""
        if self.restricted:
            raise AccessError(f"principal {self.name!r} may not {what}: that takes one who may read everything")


def unkept(_grounds: tuple[Ground, ...]) -> None:
    """There is no thread whose grounds they are."""


@dataclass
class Permit:
    """One question's leave: who asks, and what the answer will rest on. The question's stores are opened with it."""

    principal: Principal
    grounds: tuple[Ground, ...]
    """The collection that is asked, and all that its thread rests on."""
    keep: Callable[[tuple[Ground, ...]], None] = field(default=unkept, compare=False, repr=False)
    """Writes down that the thread rests on more. Raises `WorkspaceError`."""

    def join(self, more: Collection[Ground]) -> None:
        """The question is about to be given something that rests on more, and its thread rests on it from now on.

        Raises `WorkspaceError`: that can't be kept, so nothing may be given.
        """
        grounds = joined(self.grounds, more)
        if grounds != self.grounds:
            self.keep(grounds)
            self.grounds = grounds

    def covers(self, grounds: Collection[Ground]) -> bool:
        """Whether something rests on nothing that the thread doesn't rest on anyway."""
        return not self.grounds or (bool(grounds) and set(grounds) <= set(self.grounds))


@dataclass(frozen=True)
class Access:
    """The principals and labels of a workspace's settings."""

    principals: Mapping[str, frozenset[str]] | None
    """Labels by name; `None` where there is one user."""
    labels: Mapping[str, str]
    """Of the collections that don't have their own name for a label."""

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """What some settings say."""
        given = settings.principals
        return cls(
            None if given is None else {name: frozenset(held.labels) for name, held in given.items()},
            {name: held.label for name, held in settings.collections.items() if held.label},
        )

    @property
    def restricted(self) -> bool:
        """Whether principals are told apart at all."""
        return self.principals is not None

    def label(self, collection: str) -> str:
        """The access label that a collection has now."""
        return self.labels.get(collection, collection)

    def ground(self, collection: str) -> Ground:
        """A collection as a ground of something that is kept now."""
        return Ground(collection=collection, label=self.label(collection))

    def traced(self, grounds: tuple[Ground, ...], collections: Iterable[str]) -> tuple[Ground, ...]:
        """Grounds with those collections of a trace that were not noted among them, under their labels of now."""
        noted = {g.collection for g in grounds}
        more = (self.ground(c) for c in dict.fromkeys(collections) if c not in noted)
        return (*grounds, *more) if grounds else ()

    def principal(self, name: str) -> Principal:
        """Who bears a name. Raises `AccessError`."""
        if self.principals is None or name == OWNER:
            return Principal(name, None, self)
        if name not in self.principals:
            raise AccessError(
                f"there is no principal {name!r}; understudy.toml would name it: [principals.{quoted(name)}]"
            )
        return Principal(name, self.principals[name], self)

    def undivided(self, label: str, grounds: Iterable[Ground]) -> bool:
        """Whether something rests on this label alone, then and now: what an adapter must, to be worn under it.

        Where principals aren't told apart, everything may be.
        """
        held = tuple(grounds)
        alone = all(g.label == label and self.label(g.collection) == label for g in held)
        return not self.restricted or (bool(held) and alone)


def joined(grounds: tuple[Ground, ...], more: Collection[Ground]) -> tuple[Ground, ...]:
    """What two things together rest on. Where nobody knows of one of them, nobody knows of both."""
    return tuple(dict.fromkeys((*grounds, *more))) if grounds and more else ()


def grounds_text(grounds: Iterable[Ground]) -> str:
    """Grounds as databases keep them."""
    return json.dumps(sorted({(g.collection, g.label) for g in grounds}))


def grounds_of(kept: str | None) -> tuple[Ground, ...]:
    """Grounds that a database kept; none in a row of before grounds were kept. Raises `ValueError`."""
    return tuple(Ground(collection=c, label=label) for c, label in json.loads(kept or "[]"))


def quoted(name: str) -> str:
    """A name as a key of TOML."""
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else f'"{name}"'
