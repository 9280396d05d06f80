"""The one gate for egress: what goes to an expert is made, redacted and checked here, and nowhere else.

It fails closed: where nothing is there to redact with, where a protected value is left in the text, or where the bytes
of a provider's requests can't be seen, nothing leaves, and the error says which.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from understudy.core.egress import Outbound, Payload
from understudy.core.errors import EgressRefused
from understudy.core.types import ExpertAnswer
from understudy.privacy.aligned import as_stored
from understudy.privacy.policy import Policy, Rule
from understudy.privacy.transport import Permit, permitted

__all__ = ["EgressGuard", "Forms", "Protection", "Vault", "leftover"]

Rewrite = Callable[[str], str]
PLACEHOLDER = re.compile(r"⟦([A-Z][A-Z_]*)_(\d+)⟧")
NOTHING = re.compile(r"(?!)")


class Vault(Protocol):
    """The placeholders of one thread; `understudy.privacy.redaction.Vault`."""

    def value_of(self, slot: tuple[str, int]) -> str | None:
        """What a placeholder stands for."""
        ...


class Redacted(Protocol):
    """A text with placeholders; `understudy.privacy.redaction.Redacted`."""

    @property
    def text(self) -> str:
        """What may leave."""
        ...


class Redactor(Protocol):
    """Replaces identifiers, and puts them back; `understudy.privacy.redaction.Redactor`."""

    def redact(self, text: str, vault: Any) -> Redacted:
        """A text with placeholders."""
        ...

    def restore(self, text: str, vault: Any) -> str:
        """A text with values again."""
        ...


class Values(Protocol):
    """Finds protected values in any disguise; `understudy.privacy.protected.ProtectedValues`."""

    def find(self, text: str) -> Sequence[Any]:
        """Hits, each with the `value` that was found."""
        ...


@dataclass(frozen=True)
class Protection:
    """What keeps the values of some collections back."""

    redactor: Redactor
    values: Values


@dataclass(frozen=True)
class Forms:
    """How a payload is made anew, by whoever knows how it is written.

    Attributes:
        rewritten: with every part rewritten.
        bare: of the question alone, rewritten.
        own: their fixed words, which hold nothing of the question or the documents.
    """

    rewritten: Callable[[Payload, Rewrite], Payload]
    bare: Callable[[Payload, Rewrite], Payload]
    own: re.Pattern[str] = NOTHING


class EgressGuard:
    """Lets a payload out in the form that the policy gives the expert, or refuses.

    Args:
        policy: what may go.
        forms: how payloads are written.
        protection: of what draws on these collections; `None` where there is nothing to redact with.
        vault: the placeholders of a collection's thread.
        seen: whether the bytes of an expert's requests can be seen.
    """

    def __init__(
        self,
        policy: Policy,
        forms: Forms,
        protection: Callable[[Sequence[str]], Protection | None],
        vault: Callable[[str, str], Any],
        seen: Callable[[str], bool],
    ) -> None:
        self._policy, self._forms = policy, forms
        self._protection, self._vault, self._seen = protection, vault, seen

    def check(self, payload: Payload, expert: str, thread: str, edited: str | None = None) -> Outbound:
        """The payload as it may leave.

        Raises:
            EgressRefused: nothing may leave, or something in it can't be kept back.
            WorkspaceError: placeholders can't be kept.
        """
        rule = self._policy.strictest(payload.sources, expert)
        try:
            return self._passed(rule, payload, expert, thread, edited)
        except EgressRefused as refused:
            refused.policy = rule.allows
            raise

    def _passed(self, rule: Rule, payload: Payload, expert: str, thread: str, edited: str | None) -> Outbound:
        if rule.refusal is not None:
            raise EgressRefused(rule.refusal)
        asks = self._policy.asks(payload.sources, expert)
        if rule.allows == "all":
            made = payload if edited is None else replace(payload, user=edited)
            return Outbound(made, expert, "all", thread, asks, edited is not None)
        protection = self._protection(payload.sources)
        if protection is None:
            raise EgressRefused(
                f"collection {rule.collection!r} is {rule.sensitivity}, and identifiers can't be replaced here: "
                "nothing of it goes to an expert",
                "redaction",
            )
        if not self._seen(expert):
            raise EgressRefused(
                f"collection {rule.collection!r} is {rule.sensitivity}, and what the client of expert {expert!r} sends "
                "can't be seen: nothing of it goes there",
                "transport",
            )
        made, replaced = self._redacted(payload, rule.allows == "question", protection, thread, edited)
        why = leftover(protection.values, made.user, self._forms.own)  # the other message is the same for everyone
        if why is not None:
            raise EgressRefused(
                f"{why}, and the guard could not take it out: nothing goes to expert {expert!r}", "protected value"
            )
        return Outbound(made, expert, rule.allows, thread, asks, edited is not None, replaced, protection)

    def _redacted(
        self, payload: Payload, bare: bool, protection: Protection, thread: str, edited: str | None
    ) -> tuple[Payload, Mapping[str, int]]:
        redactor, vault = protection.redactor, self._vault(payload.scope.collection, thread)
        done: dict[str, str] = {}

        def by(text: str) -> str:
            if text not in done:
                done[text] = redactor.redact(text, vault).text
            return done[text]

        made = (self._forms.bare if bare else self._forms.rewritten)(payload, by)
        if edited is not None:
            made = replace(made, user=by(redactor.restore(edited, vault)))
        return made, counted(made.user, vault)

    def sending(self, sent: Outbound) -> AbstractContextManager[None]:
        """While it lasts, this may leave, to this expert, and nothing else."""
        protection = None if sent.allowance == "all" else protection_of(sent)

        def forbidden(text: str) -> str | None:
            return None if protection is None else leftover(protection.values, text, self._forms.own)

        return permitted(Permit(sent.expert, (sent.payload.system, sent.payload.user), forbidden))

    def restore(self, answer: ExpertAnswer, sent: Outbound) -> ExpertAnswer:
        """The answer with values in the place of placeholders, its quotes as the documents have them."""
        if sent.allowance == "all":
            return answer
        payload = sent.payload
        vault = self._vault(payload.scope.collection, sent.thread)
        text = protection_of(sent).redactor.restore(answer.text, vault)
        found = [as_stored(c, payload.passages, payload.stored or (), vault.value_of) for c in answer.citations]
        kept = tuple(c for c in found if c is not None)
        return answer.model_copy(update={"text": text, "citations": kept, "unseen": sent.allowance == "question"})


def protection_of(sent: Outbound) -> Protection:
    """What kept the values of a payload back when it was checked. Raises `EgressRefused` where nothing did."""
    if not isinstance(sent.kept_by, Protection):
        raise EgressRefused("what would leave was not checked against protected values", "protected value")
    return sent.kept_by


def counted(text: str, vault: Vault) -> Mapping[str, int]:
    """How many placeholders of each type stand in a text for values of the thread."""
    slots = [(kind, int(number)) for kind, number in PLACEHOLDER.findall(text)]
    return dict(Counter(slot[0] for slot in slots if vault.value_of(slot) is not None))


def leftover(values: Values, text: str, own: re.Pattern[str] = NOTHING) -> str | None:
    """What protected value is left in a text, told by its type alone; `None` where none is that would block.

    Args:
        values: to look for.
        text: in which.
        own: words that are no leak, where all that was found lies inside one match of them.
    """
    hits = [hit for hit in values.find(text) if hit.value.blocks]
    if hits:
        ours = [match.span() for match in own.finditer(text)]
        hits = [hit for hit in hits if not any(a <= hit.start and hit.end <= b for a, b in ours)]
    if not hits:
        return None
    kinds = ", ".join(sorted({hit.value.type for hit in hits}))
    return f"a protected value ({kinds}) is left in it"
