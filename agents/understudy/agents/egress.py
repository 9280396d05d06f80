"""The gate of one workspace, put together: policy, redaction, protected values, guard, and requests that wait."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from understudy.agents.briefing import OWN_WORDS, bare, rewritten
from understudy.core.audit import AuditLog
from understudy.core.errors import WorkspaceError
from understudy.core.settings import Settings
from understudy.core.types import Scope
from understudy.core.workspace import Workspace, write_atomically
from understudy.privacy.approvals import ApprovalStore
from understudy.privacy.guard import EgressGuard, Forms, Protection
from understudy.privacy.policy import Policy
from understudy.privacy.protected import Dictionaries
from understudy.privacy.protected.dictionary import Documents
from understudy.privacy.redaction import Redactor, Vaults
from understudy.privacy.redaction.ner import NerModel
from understudy.privacy.tools import ToolGuard

__all__ = ["Egress"]

KEY_BYTES = 32


class Egress:
    """What stands between a workspace and its experts.

    Args:
        workspace: whose.
        settings: collections, experts, the owner's patterns and model of names.
        documents: what is stored: protected values come from it.
        stored: the sensitivity that a collection was ingested as.
        seen: whether the bytes of an expert's requests are checked.
        audit: is told of tools' calls.

    Raises:
        SettingsError: a collection's table contradicts itself.
        ModelFileError: `privacy.ner` is no token classifier.
        WorkspaceError: a file can't be used.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        documents: Documents,
        stored: Callable[[str], str | None],
        seen: Callable[[str], bool],
        audit: AuditLog,
    ) -> None:
        self.policy = Policy(settings, stored)
        ner = settings.privacy.ner
        self.ner = None if ner is None else NerModel(workspace.root / ner.expanduser())
        self.approvals = ApprovalStore(workspace.approvals)
        self.vaults = Vaults(workspace.placeholders, key_of(workspace.privacy_key))
        self.dictionaries = Dictionaries(documents, settings)
        self._patterns = settings.privacy.patterns
        self._made: dict[tuple[str, ...], Protection] = {}
        self._lock = threading.Lock()
        self.tools = ToolGuard(self.policy, self.protection, self.vaults.of, audit)
        forms = Forms(rewritten, bare, OWN_WORDS)
        self.guard = EgressGuard(self.policy, forms, self.protection, self.vaults.of, seen)

    def protection(self, collections: Sequence[str]) -> Protection:
        """What keeps the values of some collections back, as their documents stand now.

        Raises:
            EgressRefused: a pattern of the owner takes too long.
            WorkspaceError: the documents can't be read.
        """
        names = tuple(sorted(set(collections)))
        values = self.dictionaries.of(names)
        with self._lock:
            held = self._made.get(names)
            if held is None or held.values is not values:
                held = Protection(Redactor(values.values, self._patterns, self.ner), values)
                self._made[names] = held
            return held

    def forget(self, document: Scope) -> None:
        """Drop what is held in memory of a document that is erased."""
        with self._lock:
            self._made.clear()
        self.dictionaries.forget(document)

    def close(self) -> None:
        """Close the files."""
        self.approvals.close_file()
        self.vaults.close()


def key_of(path: Path) -> bytes:
    """The workspace's own key, made when it is first needed, readable by its owner alone. Raises `WorkspaceError`."""
    try:
        if not path.exists():
            write_atomically(path, secrets.token_hex(KEY_BYTES))
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except OSError as error:
        raise WorkspaceError(f"{path} can't be used: {error.strerror}") from error
    except ValueError as error:
        raise WorkspaceError(f"{path} is corrupt; restore it from a backup") from error
    if len(key) != KEY_BYTES:
        raise WorkspaceError(f"{path} is corrupt: it holds {len(key)} bytes, not {KEY_BYTES}; restore it from a backup")
    return key
