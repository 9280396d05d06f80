"""The redactor: finds identifiers, puts placeholders in their place, and puts them back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from understudy.core.settings import PatternSettings
from understudy.privacy.redaction.addresses import Addresses
from understudy.privacy.redaction.dictionary import Dictionary, Named
from understudy.privacy.redaction.found import TYPES, Found, Recogniser, apart
from understudy.privacy.redaction.identifiers import Identifiers
from understudy.privacy.redaction.names import Names
from understudy.privacy.redaction.patterns import OwnPatterns
from understudy.privacy.redaction.placeholders import lookalikes, replace
from understudy.privacy.redaction.vault import Vault

__all__ = ["Redacted", "Redactor"]


@dataclass(frozen=True)
class Redacted:
    """A text that may leave: `spans` counts what was replaced, by type, never the values."""

    text: str
    spans: Mapping[str, int]


class Redactor:
    """Redacts texts of one collection.

    It holds no state of a thread: that is the vault's. One redactor serves any number of threads at once.

    Args:
        dictionary: values that are known to be protected.
        patterns: the owner's own.
        ner: a further recogniser, such as one of names by a model.
    """

    def __init__(
        self,
        dictionary: Iterable[Named] = (),
        patterns: Sequence[PatternSettings] = (),
        ner: Recogniser | None = None,
    ) -> None:
        values = list(dictionary)
        known: list[Recogniser] = [OwnPatterns(patterns), Dictionary(values), Identifiers(), Addresses(), Names()]
        self._recognisers = [*known, ner] if ner else known
        self._types = frozenset({*TYPES, *(p.type for p in patterns), *(v.type for v in values)})

    def find(self, text: str) -> list[Found]:
        """What would be replaced, in order, without overlap. Raises `EgressRefused` where a pattern takes too long."""
        return apart(text, [list(r.find(text)) for r in self._recognisers])

    def redact(self, text: str, vault: Vault) -> Redacted:
        """A text with placeholders; `restore` of it is the text again.

        What in the text itself looks like a placeholder of ours is kept apart: its number is never given out, and
        where it was given out before, the look-alike is replaced as well.

        Raises:
            EgressRefused: a pattern of the owner takes too long on the text.
            WorkspaceError: the vault can't be written.
        """
        alike = list(lookalikes(text, self._types | vault.types))
        vault.reserve(slot for _, _, slot in alike if vault.value_of(slot) is None)
        literal = [Found(a, b, "TEXT", text[a:b]) for a, b, slot in alike if vault.value_of(slot) is not None]
        found = apart(text, [literal, self.find(text)])
        placeholders = vault.assign([(f.type, f.text) for f in found])
        pieces, at = [], 0
        for one, placeholder in zip(found, placeholders, strict=True):
            pieces += [text[at : one.start], placeholder]
            at = one.end
        return Redacted("".join([*pieces, text[at:]]), Counter(f.type for f in found))

    def restore(self, text: str, vault: Vault) -> str:
        """A text with values again in place of the thread's placeholders, whatever an expert did to those."""
        return replace(text, vault.types, vault.value_of)
