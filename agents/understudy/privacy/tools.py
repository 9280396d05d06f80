"""Tools of a program's own: what the small model writes into their arguments may hold words of documents.

A tool says where it runs by `metadata={"reach": "local"}`, `"private"` or `"cloud"`. One that says nothing counts as
`cloud`: its arguments pass the policy and the guard like a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from langchain_core.tools import BaseTool

from understudy.core.errors import EgressRefused
from understudy.core.settings import Reach
from understudy.privacy.guard import Protection, leftover
from understudy.privacy.policy import Policy

__all__ = ["ToolGuard"]

THREAD = "tools"
"""Whose placeholders stand in arguments: a tool may keep what it was told, so they are not those of any question."""


class ToolGuard:
    """Gives a tool's arguments in the form in which they may leave.

    Args:
        policy: what may go.
        protection: of some collections.
        vault: the placeholders of a collection's thread.
    """

    def __init__(
        self, policy: Policy, protection: Callable[[Sequence[str]], Protection], vault: Callable[[str, str], Any]
    ) -> None:
        self._policy, self._protection, self._vault = policy, protection, vault

    def passed(
        self, tool: BaseTool, arguments: Mapping[str, object], sources: Sequence[str]
    ) -> tuple[dict[str, Any], Callable[[str], str]]:
        """Arguments for a tool, and what puts values back in its result.

        Args:
            tool: which.
            arguments: as the small model wrote them.
            sources: the collection that is asked, and those that its thread rests on: what was read of any may stand
                in them.

        Raises:
            EgressRefused: they may not go where the tool runs.
            WorkspaceError: placeholders can't be kept.
        """
        reach = reach_of(tool)
        if reach is None:
            return dict(arguments), str
        rule = self._policy.strictest_reaching(sources, tool.name, reach)
        if rule.refusal is not None:
            raise EgressRefused(f"tool {tool.name!r} is not on this machine: {rule.refusal}")
        if rule.asks or rule.allows == "question":
            why = "needs approval, and a tool can't wait for it" if rule.asks else f"is {rule.sensitivity}"
            raise EgressRefused(
                f"tool {tool.name!r} is not marked as local (metadata reach), and collection {rule.collection!r} {why}"
            )
        if rule.allows == "all":
            return dict(arguments), str
        protection, vault = self._protection(sources), self._vault(sources[0], THREAD)

        def out(value: object) -> object:
            match value:
                case str():
                    text = protection.redactor.redact(value, vault).text
                    why = leftover(protection.values, text)
                    if why is not None:
                        raise EgressRefused(f"{why}: nothing goes to tool {tool.name!r}", "protected value")
                    return text
                case dict():
                    return {str(out(str(key))): out(held) for key, held in value.items()}
                case list() | tuple():
                    return [out(held) for held in value]
                case _:
                    if leftover(protection.values, str(value)) is not None:
                        raise EgressRefused(f"a protected value is left: nothing goes to tool {tool.name!r}")
                    return value

        return {name: out(value) for name, value in arguments.items()}, lambda text: protection.redactor.restore(
            text, vault
        )


def reach_of(tool: BaseTool) -> Reach | None:
    """Where a tool runs; `None` on this machine. What is not said, or not known, is `cloud`."""
    said = (tool.metadata or {}).get("reach")
    if said == "local":
        return None
    known: Reach | None = next((r for r in get_args(Reach) if r == said), None)
    return known or "cloud"
