"""An expert that replays answers from a file, for the demo and for tests. It always says that it is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from understudy.agents.citing import locate
from understudy.core.errors import ExpertUnavailableError, SettingsError
from understudy.core.protocols import Payload, folded
from understudy.core.settings import ExpertSettings
from understudy.core.types import ExpertAnswer
from understudy.core.usage import ExpertTokens, Spend

__all__ = ["BYTES_PER_TOKEN", "RecordedExpert"]

NOWHERE = "none (recorded)"
"""Its host: what is sent there stays here."""
BYTES_PER_TOKEN = 4


class RecordedQuote(BaseModel):
    """A citation of a recording."""

    model_config = ConfigDict(extra="forbid")
    document: str
    quote: str


class Recording(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid")
    question: Annotated[str, Field(min_length=1)]
    document: str | None = None
    text: str
    citations: list[RecordedQuote] = []
    not_in_documents: bool = False


class RecordedExpert:
    """Replays the recording of a question (and document, where the recording names one).

    Tokens and price are what a live expert would have been paid at the configured prices, by four bytes a token.
    """

    recorded = True
    seen = True
    """Nothing is sent."""

    def __init__(self, settings: ExpertSettings, path: Path) -> None:
        self._settings = settings
        self._recordings = [read(line, path, n) for n, line in enumerate(lines_of(path), 1) if line.strip()]

    @property
    def name(self) -> str:
        """As `understudy.toml` names it."""
        return self._settings.name

    def host(self) -> str:
        """Nothing leaves."""
        return NOWHERE

    def worst(self, payload: Payload) -> Spend:
        """The most that asking can cost: a token is a byte at least."""
        longest = max((len(r.model_dump_json().encode()) for r in self._recordings), default=0)
        return priced(ExpertTokens(input=sent_bytes(payload), output=longest), self._settings)

    async def ask(self, payload: Payload) -> ExpertAnswer:
        """The recorded answer. Raises `ExpertUnavailableError` where there is none."""
        asked, document = folded(payload.question), payload.scope.document
        same = [r for r in self._recordings if folded(r.question) == asked and r.document in (None, document)]
        if same:  # one made for this document goes before one for any
            return self._reply(next((r for r in same if r.document is not None), same[0]), payload)
        raise ExpertUnavailableError(f"expert {self.name!r} is recorded and has no recording of this question")

    def _reply(self, recording: Recording, payload: Payload) -> ExpertAnswer:
        passages = payload.passages if payload.stored is None else payload.stored  # it has the documents' own words
        found = [locate(c.quote, [p for p in passages if p.document == c.document]) for c in recording.citations]
        tokens = ExpertTokens(
            input=sent_bytes(payload) // BYTES_PER_TOKEN,
            output=len(recording.model_dump_json().encode()) // BYTES_PER_TOKEN,
        )
        return ExpertAnswer(
            text=recording.text,
            citations=tuple(c for c in found if c is not None),
            not_in_documents=recording.not_in_documents,
            expert=f"{self.name} (recorded)",
            tokens=tokens,
            cost_usd=cost(tokens, self._settings),
            may_train=self._settings.may_train,
        )


def cost(tokens: ExpertTokens, settings: ExpertSettings) -> float:
    """Dollars for some tokens."""
    return (tokens.input * settings.input_usd_per_mtok + tokens.output * settings.output_usd_per_mtok) / 1e6


def priced(tokens: ExpertTokens, settings: ExpertSettings) -> Spend:
    """One call of so many tokens."""
    return Spend(usd=cost(tokens, settings), calls=1, tokens=tokens.input + tokens.output)


def sent_bytes(payload: Payload) -> int:
    """The size of what goes out."""
    return len((payload.system + payload.user).encode())


def lines_of(path: Path) -> list[str]:
    """The lines of the file. Raises `SettingsError`."""
    try:
        # `splitlines` would also split inside a JSON string, at U+2028 and its like.
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"recorded answers {path} can't be read: {error}") from error


def read(line: str, path: Path, number: int) -> Recording:
    """One recording. Raises `SettingsError` that names the line."""
    try:
        return Recording.model_validate(json.loads(line))
    except json.JSONDecodeError as error:
        raise SettingsError(f"recorded answers {path}, line {number}: not JSON: {error.msg}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
        raise SettingsError(f"recorded answers {path}, line {number}: {place}: {first['msg']}") from error
