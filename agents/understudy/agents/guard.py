"""The one gate for egress: every expert call passes it. Redaction, approval and the audit log will stand here too."""

from __future__ import annotations

from collections.abc import Callable

from understudy.core.errors import EgressRefused
from understudy.core.protocols import Payload
from understudy.core.settings import CollectionSettings, Settings

__all__ = ["EgressGuard"]


class EgressGuard:
    """Lets a payload out, or refuses, by the policy of its collection and the reach of the expert.

    This version enforces `egress = "never"`, `egress = "ask"` (refused, since nobody can be asked yet) and
    `sensitivity = "local"` for experts outside the house. It does not redact: until it does, a `redacted` collection
    goes to an expert as it is, and the documentation says so.

    Args:
        settings: experts and collections.
        sensitivity: the stored sensitivity of a collection, where the settings name none.
    """

    def __init__(self, settings: Settings, sensitivity: Callable[[str], str | None]) -> None:
        self._settings = settings
        self._sensitivity = sensitivity
        self._reach = {e.name: e.reach for e in settings.experts}

    def check(self, payload: Payload, expert: str) -> Payload:
        """The payload as it may leave. Raises `EgressRefused`."""
        refusal = self.refusal(payload.scope.collection, expert)
        if refusal is not None:
            raise EgressRefused(refusal)
        return payload

    def refusal(self, collection: str, expert: str) -> str | None:
        """Why nothing of a collection may go to an expert; `None` where it may."""
        policy = self._settings.collections.get(collection, CollectionSettings())
        # A table that names only `egress` says nothing of sensitivity: its default must not override what is stored.
        named = "sensitivity" in policy.model_fields_set
        sensitivity = policy.sensitivity if named else self._sensitivity(collection) or policy.sensitivity
        if policy.egress == "never":
            return f"collection {collection!r} never goes to an expert (egress = 'never')"
        if policy.egress == "ask":
            return f"collection {collection!r} needs approval (egress = 'ask'), which can't be given yet"
        if sensitivity == "local" and self._reach.get(expert, "cloud") != "private":
            return f"collection {collection!r} is local, and expert {expert!r} is not in the house"
        return None

    def permits(self, collection: str) -> bool:
        """Whether something of a collection may go to any expert at all."""
        return any(self.refusal(collection, name) is None for name in self._reach)
