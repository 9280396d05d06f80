"""Adapters on disk: one folder a version, a card beside the weights, and a pointer to the one that is live.

    adapters/DOMAIN/LABEL/live.json            {"history": ["v1", "v2"]}: the last one is live; empty is the base
    adapters/DOMAIN/LABEL/v2/card.json         what it is, and what the gate found
    adapters/DOMAIN/LABEL/v2/reader.safetensors

Every change is one atomic replacement, so a process that dies leaves the old state or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from understudy.core.access import Principal
from understudy.core.adapters import AdapterCard
from understudy.core.errors import AdapterError
from understudy.core.workspace import write_atomically

__all__ = ["Registry", "file_hash"]


CARD = "card.json"


class Registry:
    """The adapters of a workspace.

    Args:
        root: the folder that holds them.
        by: who looks at them: those that rest on what they may not read are not there. `None` sees all.
    """

    def __init__(self, root: Path, by: Principal | None = None) -> None:
        self._root, self._by = root, by

    def seen_by(self, principal: Principal) -> Registry:
        """The same, as somebody may see it."""
        return Registry(self._root, principal)

    def cards(self) -> list[AdapterCard]:
        """All adapters, candidates that were turned down too, by domain, label and version."""
        found = [card for path in self._root.glob("*/*/v*/card.json") if self._shown(card := read_card(path))]
        return sorted(found, key=lambda card: (card.domain, card.label, number(card.version)))

    def card(self, domain: str, label: str, version: str) -> AdapterCard:
        """One of them. Raises `AdapterError`."""
        path = self._place(domain, label) / version / CARD
        found = read_card(path) if number(version) and path.exists() else None
        if found is None or not self._shown(found):
            known = ", ".join(c.version for c in self.cards() if (c.domain, c.label) == (domain, label)) or "none"
            raise AdapterError(f"there is no adapter {version!r} of domain {domain!r}; there are: {known}")
        return found

    def add(self, files: Mapping[str, Path], make: Callable[[str, Mapping[str, str]], AdapterCard]) -> AdapterCard:
        """Keep a candidate; one that this refinement has kept already is given again.

        Args:
            files: by the name that they are to have.
            make: the card, from the version that it gets and the files' hashes.
        """
        hashes = {name: file_hash(path) for name, path in files.items()}
        drawn = make("", hashes)
        place = self._place(drawn.domain, drawn.label)
        for left in place.glob(".v*"):  # by a killed process, which may have died just before the last step
            shutil.rmtree(left)
        earlier = [read_card(path) for path in place.glob("v*/card.json")]
        for card in earlier:
            if card.run == drawn.run:
                return card
        card = make(f"v{max((number(c.version) for c in earlier), default=0) + 1}", hashes)
        partial = place / f".{card.version}.{os.getpid()}"
        partial.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, path in files.items():
            shutil.copyfile(path, partial / name)
            (partial / name).chmod(0o600)
        write_atomically(partial / CARD, card.model_dump_json(indent=2) + "\n")
        shutil.rmtree(place / card.version, ignore_errors=True)  # without a card it is what a killed process left
        partial.replace(place / card.version)
        return card

    def live(self, domain: str, label: str) -> AdapterCard | None:
        """The one in force; none is the base model. Raises `AdapterError` where its files were changed."""
        card = self.pointed(domain, label)
        if card is not None:
            self.check(card)
        return card

    def pointed(self, domain: str, label: str) -> AdapterCard | None:
        """The card of the one in force, its files unchecked. Raises `AdapterError`."""
        history = self.history(domain, label)
        return self.card(domain, label, history[-1]) if history else None

    def places(self) -> list[tuple[str, str]]:
        """The domains and access labels where an adapter went live once."""
        pointers = sorted(self._root.glob("*/*/live.json"))
        return [(unquote(p.parent.parent.name), unquote(p.parent.name)) for p in pointers]

    def history(self, domain: str, label: str) -> list[str]:
        """The versions that went live one after another, without those rolled back. Raises `AdapterError`."""
        pointer = self._place(domain, label) / "live.json"
        try:
            return [str(version) for version in json.loads(pointer.read_text(encoding="utf-8"))["history"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AdapterError(f"{pointer} is damaged; restore it from a backup, or delete it") from error

    def promote(self, card: AdapterCard) -> None:
        """Make it live. One that is live already stays so."""
        self.check(card)
        history = self.history(card.domain, card.label)
        if history[-1:] != [card.version]:
            self._point(card.domain, card.label, [*history, card.version])

    def rollback(self, domain: str, label: str) -> str | None:
        """Go back to the one before; gives its version, `None` for the base. Raises `AdapterError`."""
        history = self.history(domain, label)
        if not history:
            raise AdapterError(f"no adapter of domain {domain!r} is live: there is nothing to go back from")
        self._point(domain, label, history[:-1])
        return history[-2] if len(history) > 1 else None

    def withdraw(self, card: AdapterCard, why: str) -> None:
        """Delete an adapter's files, and the documents' names from its card; the one before it is live where it was.

        The card goes last: until then, this can be done again.
        """
        history = self.history(card.domain, card.label)
        if card.version in history:
            self._point(card.domain, card.label, [v for v in history if v != card.version])
        place = self._place(card.domain, card.label) / card.version
        for path in place.iterdir():
            if path.name != CARD:
                path.unlink()
        bare: dict[str, object] = {
            "documents": (),
            "rests_on": (),
            "files": {},
            "probe": (),
            "decoder_probe": None,
            "withdrawn": why,
        }
        write_atomically(place / CARD, card.model_copy(update=bare).model_dump_json(indent=2) + "\n")

    def tidy(self) -> None:
        """Delete what killed processes left of adapters that they were adding."""
        for left in self._root.glob("*/*/.v*"):
            shutil.rmtree(left)

    def file(self, card: AdapterCard, name: str) -> Path | None:
        """One of an adapter's files, if it has it."""
        return self._place(card.domain, card.label) / card.version / name if name in card.files else None

    def check(self, card: AdapterCard) -> None:
        """Raise `AdapterError` unless its files are those that the gate saw."""
        if card.withdrawn:
            raise AdapterError(f"adapter {card.version} of domain {card.domain!r} is withdrawn: {card.withdrawn}")
        for name, digest in card.files.items():
            path = self._place(card.domain, card.label) / card.version / name
            if not path.exists() or file_hash(path) != digest:
                raise AdapterError(
                    f"{path} is missing or was changed since it was made; roll back with: "
                    f"understudy adapters rollback {card.domain}"
                )

    def labels(self, domain: str) -> Iterator[str]:
        """The access labels under which a domain has adapters."""
        yield from sorted({card.label for card in self.cards() if card.domain == domain})

    def _shown(self, card: AdapterCard) -> bool:
        return self._by is None or self._by.may_use(card.grounds)

    def _place(self, domain: str, label: str) -> Path:
        return self._root / safe(domain) / safe(label)

    def _point(self, domain: str, label: str, history: list[str]) -> None:
        place = self._place(domain, label)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(place / "live.json", json.dumps({"history": history}) + "\n")


def safe(name: str) -> str:
    """A name as a folder: nothing in it leads out of its parent."""
    escaped = quote(name, safe=" ")
    return escaped.replace(".", "%2E") if set(name) <= {"."} else escaped


def number(version: str) -> int:
    """Of a version such as `v12`; 0 for what is none."""
    return int(version.removeprefix("v")) if version.removeprefix("v").isdecimal() else 0


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_card(path: Path) -> AdapterCard:
    """A card. Raises `AdapterError`."""
    try:
        return AdapterCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError) as error:
        raise AdapterError(f"{path} is damaged; restore it from a backup, or delete its folder") from error
