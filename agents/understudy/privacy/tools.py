"""Tools of a program's own: what the small model writes into their arguments may hold words of documents.

A tool says where it runs by `metadata={"reach": "local"}`, `"private"` or `"cloud"`. One that says nothing counts as
`cloud`. Of one that isn't on this machine, the arguments pass the policy and the guard like a payload, and the audit
log is told before they leave. What it is known by there is taken of the arguments as JSON: see `content_of`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, get_args

from langchain_core.tools import BaseTool

from understudy.core.audit import AuditLog, Egress, Refusal, Result
from understudy.core.errors import EgressRefused, WorkspaceError
from understudy.core.settings import Reach
from understudy.core.types import Scope
from understudy.core.usage import Account
from understudy.privacy.guard import Protection, counted, leftover
from understudy.privacy.policy import Policy, Rule
from understudy.privacy.redaction.placeholders import lookalikes, replace

__all__ = ["ToolGuard", "content_of"]

THREAD = "tools"
"""Whose placeholders stand in arguments: a tool may keep what it was told, so they are not those of any question."""
HOST = "unknown (the tool's own)"


@dataclass(frozen=True)
class Leaving:
    """Arguments in the form in which they leave."""

    arguments: dict[str, Any]
    restored: Callable[[str], str] = str
    """Puts values back in a result."""
    replaced: Mapping[str, int] = field(default_factory=dict)


class ToolGuard:
    """Runs tools, with their arguments in the form in which they may leave.

    Args:
        policy: what may go.
        protection: of some collections.
        vault: the placeholders of a collection's thread.
        audit: is told of what leaves and of what is refused.
    """

    def __init__(
        self,
        policy: Policy,
        protection: Callable[[Sequence[str]], Protection],
        vault: Callable[[str, str], Any],
        audit: AuditLog,
    ) -> None:
        self._policy, self._protection, self._vault, self._audit = policy, protection, vault, audit

    def call(
        self,
        tool: BaseTool,
        arguments: Mapping[str, object],
        sources: Sequence[str],
        account: Account,
        rests_on: Sequence[Scope] = (),
    ) -> str:
        """What a tool says; whatever it raises is raised.

        Args:
            tool: which.
            arguments: as the small model wrote them.
            sources: the collection that is asked, and those that its thread rests on: what was read of any may stand
                in them.
            account: whose question it is.
            rests_on: the documents behind it.

        Raises:
            EgressRefused: they may not go where the tool runs, or it can't be written down that they do.
        """
        reach = reach_of(tool)
        if reach is None:
            return str(tool.invoke(dict(arguments)))
        rule = self._policy.strictest_reaching(sources, tool.name, reach)
        party = {**party_of(tool, sources, account), "policy": rule.allows}
        try:
            leaving = self._leaving(tool, arguments, sources, rule)
        except EgressRefused as refused:
            with suppress(WorkspaceError):  # nothing leaves, whether that can be noted or not
                self._audit.append(Refusal(**party, **known_by(arguments), rule=refused.rule))
            raise
        sent = {**known_by(leaving.arguments), "replaced": leaving.replaced, "documents": tuple(rests_on)}
        try:
            number = self._audit.append(Egress(**party, **sent, host=host_of(tool)))
        except WorkspaceError as error:
            raise EgressRefused(f"tool {tool.name!r} was not run: {error}") from error
        with ExitStack() as settled:
            settled.push(lambda kind, *_: self._settle(number, tool, account, kind))
            said = str(tool.invoke(leaving.arguments))
        return leaving.restored(said)

    def _settle(self, number: int, tool: BaseTool, account: Account, raised: type[BaseException] | None) -> None:
        """Note what came of a call. A result that can't be written is missed in the log, and found by its egress."""
        status, error = ("answered", None) if raised is None else ("failed", raised.__name__)
        with suppress(WorkspaceError):
            told = {"of": number, "expert": tool.name, "thread": account.thread}
            self._audit.append(Result.model_validate({**told, "status": status, "error": error}))

    def _leaving(self, tool: BaseTool, arguments: Mapping[str, object], sources: Sequence[str], rule: Rule) -> Leaving:
        """Arguments as they may leave. Raises `EgressRefused`."""
        if rule.refusal is not None:
            raise EgressRefused(f"tool {tool.name!r} is not on this machine: {rule.refusal}")
        if rule.asks or rule.allows == "question":
            why = "needs approval, and a tool can't wait for it" if rule.asks else f"is {rule.sensitivity}"
            raise EgressRefused(
                f"tool {tool.name!r} is not marked as local (metadata reach), and collection {rule.collection!r} {why}",
                "approval" if rule.asks else "policy",
            )
        if rule.allows == "all":
            return Leaving(dict(arguments))
        try:
            return self._redacted(tool, arguments, sources)
        except WorkspaceError as error:
            raise EgressRefused(f"tool {tool.name!r} was not run: {error}", "redaction") from error

    def _redacted(self, tool: BaseTool, arguments: Mapping[str, object], sources: Sequence[str]) -> Leaving:
        protection, vault = self._protection(sources), self._vault(sources[0], THREAD)

        def checked(text: str) -> None:
            why = leftover(protection.values, text)
            if why is not None:
                raise EgressRefused(f"{why}: nothing goes to tool {tool.name!r}", "protected value")

        def out(value: object) -> object:
            match value:
                case str():
                    text = protection.redactor.redact(value, vault).text
                    checked(text)
                    return text
                case dict():
                    return {str(out(str(key))): out(held) for key, held in value.items()}
                case list() | tuple():
                    return [out(held) for held in value]
                case _:
                    checked(str(value))
                    return value

        made = {name: out(value) for name, value in arguments.items()}
        told = content_of(made).decode("utf-8", "surrogatepass")
        sent = {slot for _, _, slot in lookalikes(told, vault.types)}

        def restored(text: str) -> str:
            """Only what this call brought: the placeholders are those of all calls, and another's may be guessed."""
            return replace(text, vault.types, lambda slot: vault.value_of(slot) if slot in sent else None)

        return Leaving(made, restored, counted(told, vault))


def host_of(tool: BaseTool) -> str:
    """Where what a tool is told goes, as far as it says."""
    return str((tool.metadata or {}).get("host") or HOST)


def reach_of(tool: BaseTool) -> Reach | None:
    """Where a tool runs; `None` on this machine. What is not said, or not known, is `cloud`."""
    said = (tool.metadata or {}).get("reach")
    if said == "local":
        return None
    known: Reach | None = next((r for r in get_args(Reach) if r == said), None)
    return known or "cloud"


def party_of(tool: BaseTool, sources: Sequence[str], account: Account) -> dict[str, Any]:
    """What records of a tool's call have in common."""
    return {
        "principal": account.principal,
        "thread": account.thread,
        "question": account.question,
        "job": account.job,
        "receiver": "tool",
        "expert": tool.name,
        "collection": sources[0],
        "collections": tuple(sources),
    }


def known_by(arguments: Mapping[str, object]) -> dict[str, Any]:
    """Hash and size of arguments."""
    content = content_of(arguments)
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def content_of(arguments: Mapping[str, object]) -> bytes:
    """Arguments as JSON in UTF-8, keys in order: what their hash and size in the audit log are taken of."""
    text = json.dumps(arguments, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text.encode("utf-8", "surrogatepass")
