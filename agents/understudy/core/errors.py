"""Everything that Understudy raises, in one tree.

    UnderstudyError                     something went wrong; the message says what, which, and what to do
    ├── UserError                       the input or the configuration is wrong (exit code 2)
    │   ├── SettingsError               `understudy.toml` or an environment variable
    │   ├── DocumentError               a file that can't be read as a document
    │   ├── NoDocumentsError            nothing has been ingested into the collection asked
    │   ├── ScopeError                  no such collection, document or thread, or none that one may read
    │   │   └── ThreadBusyError         a question is being answered in the thread
    │   ├── AccessError                 no such principal, or what they ask takes the owner
    │   ├── ApprovalError               no such request, or it was decided
    │   ├── QuestionError               empty, or longer than the context
    │   ├── ModelFileError              no GGUF, a GGUF without a chat template, or no token classifier
    │   ├── AdapterError                no such adapter, damaged, or not for this model
    │   ├── WorkspaceError              corrupt, of a newer version, unwritable, or its database can't be used
    │   │   └── WorkspaceBusyError      another process owns it
    │   └── MissingExtraError           an optional dependency isn't installed
    ├── ToolError                       a tool could not do what the step asked; the small model sees the message
    ├── ExpertError                     an expert gave no usable answer; the local answer stands
    │   ├── ExpertAuthError             wrong or missing key
    │   ├── ExpertUnavailableError      rate limit, server error, time-out, no connection, no recording; may be retried
    │   └── ExpertReplyError            the reply can't be read as an answer
    ├── EgressRefused                   the guard let nothing out
    ├── BudgetError                     the budget allows no expert; the local answer stands
    ├── Stopped                         the caller asked inference to stop
    └── InternalError                   an invariant broke: a bug worth reporting

Foreign exceptions are mapped at one boundary each: llama.cpp in `agents.small_model`, Chroma in `retrieval.store`,
provider clients in `agents.experts`, file readers in `retrieval.load`, databases in `core.sqlite` and `core.postgres`.
"""

from __future__ import annotations

from typing import Literal

from understudy.core.usage import Spend

__all__ = [
    "AccessError",
    "AdapterError",
    "ApprovalError",
    "BudgetError",
    "DocumentError",
    "EgressRefused",
    "ExpertAuthError",
    "ExpertError",
    "ExpertReplyError",
    "ExpertUnavailableError",
    "InternalError",
    "MissingExtraError",
    "ModelFileError",
    "NoDocumentsError",
    "QuestionError",
    "ScopeError",
    "SettingsError",
    "Stopped",
    "ThreadBusyError",
    "ToolError",
    "UnderstudyError",
    "UserError",
    "WorkspaceBusyError",
    "WorkspaceError",
]


NOTHING = Spend()
Rule = Literal["policy", "protected value", "redaction", "pattern", "transport", "approval", "budget"]
"""What forbids an egress: the table of sensitivity and reach, a value that is left in it, nothing to replace values
with, a pattern of the owner's that takes too long, a client whose bytes can't be seen or were others, a person, money.
"""


class UnderstudyError(Exception):
    """Something went wrong; `str()` of it is one line for a person."""


class UserError(UnderstudyError):
    """The input or the configuration is wrong, and the caller can put it right."""


class SettingsError(UserError):
    """A key or value of `understudy.toml` or of the environment is wrong."""


class DocumentError(UserError):
    """A file can't be read as a document."""


class NoDocumentsError(UserError):
    """The collection asked holds no documents yet."""


class ScopeError(UserError):
    """No such collection, document or thread, or none that who asks may read: the message is the same."""


class ThreadBusyError(ScopeError):
    """A question is being answered in the thread, and another would write over what it notes."""


class AccessError(UserError):
    """There is no such principal, or what they ask for takes one who may read everything."""


class ApprovalError(UserError):
    """Nobody waits for this request to be decided, or it isn't for this principal to decide."""


class QuestionError(UserError):
    """The question is empty, or longer than the context allows."""


class ModelFileError(UserError):
    """A file is no GGUF chat model, or a folder holds no token classifier."""


class AdapterError(UserError):
    """There is no such adapter, its files are not those that the gate saw, or it does not fit the model."""


class WorkspaceError(UserError):
    """The workspace is corrupt, of a newer version, can't be written, or its database can't be reached."""


class WorkspaceBusyError(WorkspaceError):
    """Another process owns the workspace."""


class MissingExtraError(UserError):
    """An optional dependency isn't installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; install it with: pip install 'understudy[{extra}]'")


class ToolError(UnderstudyError):
    """A tool could not do what a step asked; the message goes into the transcript."""


class ExpertError(UnderstudyError):
    """An expert gave no usable answer.

    `spent` is what it cost all the same; `None` where nobody knows, as after a time-out. `attempts` is how often the
    payload was sent, or may have been.
    """

    def __init__(self, message: str, spent: Spend | None = NOTHING) -> None:
        super().__init__(message)
        self.spent = spent
        self.attempts = 1


class ExpertAuthError(ExpertError):
    """The expert refused the key."""


class ExpertUnavailableError(ExpertError):
    """The expert can't be reached now: rate limit, server error, time-out, connection, or nothing recorded.

    `rest_s` is for how many seconds it asked to be left alone, if it did.
    """

    rest_s: float | None = None


class ExpertReplyError(ExpertError):
    """The expert replied, but not with an answer that can be read."""


class EgressRefused(UnderstudyError):
    """The guard let nothing leave; the message says which rule.

    `rule` is its name for the audit log, which holds no messages; `policy` is what the collections give, if known.
    `attempts` and `spent` are of those before it: a client may be stopped at its second one.
    """

    def __init__(self, message: str, rule: Rule = "policy", policy: str = "") -> None:
        super().__init__(message)
        self.rule: Rule = rule
        self.policy = policy
        self.attempts = 0
        self.spent = NOTHING


class BudgetError(UnderstudyError):
    """A call's worst case would pass a limit; the message says which, and what was spent."""


class Stopped(UnderstudyError):
    """The caller asked inference to stop."""


class InternalError(UnderstudyError):
    """An invariant broke; please report it."""
