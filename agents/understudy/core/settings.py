"""`understudy.toml` and the environment, as one frozen object. Read in one place, passed on, never global."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import regex
from pydantic import Field, SecretStr, ValidationError, field_validator

from understudy.core.cluster_settings import ClusterSettings, StoresSettings
from understudy.core.errors import SettingsError
from understudy.core.mcp_settings import McpSettings
from understudy.core.settings_errors import settings_error
from understudy.core.table import Table

__all__ = [
    "OWNER",
    "Allowance",
    "AuditSettings",
    "BaseFormat",
    "BriefingSettings",
    "BudgetSettings",
    "CacheSettings",
    "CollectionSettings",
    "DeferralSettings",
    "Egress",
    "ExamplesSettings",
    "ExpertSettings",
    "PatternSettings",
    "PrincipalSettings",
    "PrivacySettings",
    "Reach",
    "RefineSettings",
    "Sensitivity",
    "ServerSettings",
    "Settings",
    "SmallModelSettings",
]


Sensitivity = Literal["open", "redacted", "local"]
Egress = Literal["allow", "ask", "never"]
Reach = Literal["cloud", "private"]
"""Where an expert is: anywhere, or in a house of the owner's own."""
Allowance = Literal["nothing", "question", "redacted", "all"]
"""What of a collection may go to an expert, from the least to the most: `question` is the question alone, with
identifiers replaced; `redacted` is evidence, draft and earlier answers too, likewise."""


class SmallModelSettings(Table):
    """`[small_model]`."""

    path: str = "starter"
    context: Annotated[int, Field(ge=256, description="tokens")] = 4096
    threads: Annotated[int | None, Field(ge=1)] = None
    max_steps: Annotated[int, Field(ge=1, le=50)] = 8
    max_step_tokens: Annotated[int, Field(ge=16)] = 400
    kept_mib: Annotated[int, Field(ge=0, le=1_000_000)] = 256
    """Memory for what was read for questions whose next step waits while another's is taken; 0 keeps nothing."""


class DeferralSettings(Table):
    """`[deferral]`."""

    max_quality_loss: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Against always asking the expert; 1 accepts every verified draft."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """With which `max_quality_loss` is promised."""
    audit_rate: Annotated[float, Field(ge=0, le=1)] = 0.02
    """The least share of accepted drafts that is compared with an expert's answer; 0 compares none."""
    min_confidence: Annotated[float | None, Field(ge=0, le=1)] = None
    """A fixed threshold in place of the promise."""


Dollars = Annotated[float | None, Field(ge=0)]
Count = Annotated[int | None, Field(ge=0)]


class BudgetSettings(Table):
    """`[budget]`. Absent is no limit, 0 is no spending."""

    per_question_usd: Dollars = None
    per_question_calls: Count = None
    per_question_tokens: Count = None
    per_thread_usd: Dollars = None
    per_thread_calls: Count = None
    per_thread_tokens: Count = None
    per_principal_usd: Dollars = None
    per_principal_calls: Count = None
    per_principal_tokens: Count = None
    per_job_usd: Dollars = None
    per_job_calls: Count = None
    per_job_tokens: Count = None
    per_month_usd: Dollars = None
    per_month_calls: Count = None
    per_month_tokens: Count = None


class ExpertSettings(Table):
    """One `[[experts]]`."""

    name: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1, description="any init_chat_model string, or recorded:FILE")]
    base_url: str | None = None
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; the provider's own by default."""
    input_usd_per_mtok: Annotated[float, Field(ge=0)] = 0.0
    output_usd_per_mtok: Annotated[float, Field(ge=0)] = 0.0
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    at_once: Annotated[int, Field(ge=1, le=1000)] = 8
    """Requests in progress, whoever asks; the others wait for their turn."""
    per_minute: Annotated[int | None, Field(ge=1)] = None
    """Requests that are begun within any minute, retries included."""
    max_output_tokens: Annotated[int, Field(ge=1)] = 1024
    context: Annotated[int | None, Field(ge=256, description="tokens in and out that it can take")] = None
    skills: tuple[str, ...] = ()
    """Domains that it knows well; none named means any."""
    reach: Reach = "cloud"
    may_train: bool = True
    """Whether its terms of use allow training a model on its answers; false keeps them out of training."""


class CacheSettings(Table):
    """`[cache]`."""

    semantic: bool = True
    """Whether an answer is given again to the same question in other words."""
    max_error: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Bound of the share of wrong ones among answers given again so, kept with `deferral.confidence`."""


class CollectionSettings(Table):
    """One `[collections.NAME]`."""

    sensitivity: Sensitivity = "redacted"
    egress: Egress = "allow"
    cloud: Allowance | None = None
    """What experts of that reach may have, instead of what follows from the sensitivity; for `cloud` never more."""
    private: Allowance | None = None
    protect: tuple[Annotated[str, Field(pattern=r"\w")], ...] = ()
    """Table columns and labels of fields, such as `patient`, whose values are protected."""
    protect_names: bool = True
    """Whether capitalised names that its documents repeat are protected too."""
    domain: str | None = None
    """What its documents are about, such as `finance`; the collection's own name by default."""
    label: str | None = None
    """Access label: who holds it may read the collection, and collections of one domain and one label share an adapter.
    The collection's own name by default, so that what was learned from one collection serves no other."""


OWNER = "owner"
"""The principal who may read everything."""
Label = Annotated[str, Field(min_length=1)]


class PrincipalSettings(Table):
    """One `[principals.NAME]`."""

    labels: tuple[Label, ...] = ()
    """Whoever holds a collection's access label may read it; without labels, nothing."""


class AuditSettings(Table):
    """`[audit]`."""

    key_directory: Path | None = None
    """Where the audit log's key and head lie; a relative one is below the workspace. By default in the workspace
    itself, where whoever restores an older copy of the whole folder takes the log back with it."""


class BriefingSettings(Table):
    """`[briefing]`."""

    demonstrations: Annotated[int, Field(ge=0, le=8)] = 2
    """Earlier answers of the same collection that an expert is shown; 0 shows none."""
    passages: Annotated[int, Field(ge=1, le=50)] = 5
    """What an expert is shown of the documents at least. More finds more of a long one, and sends more of it."""


class ExamplesSettings(Table):
    """`[examples]`. Without a URL they lie in the workspace's own file."""

    url: SecretStr | None = None
    """Of a Postgres database, `postgresql+psycopg://…`; it may hold a password, so it is never shown whole."""
    url_env: Annotated[str | None, Field(min_length=1)] = None
    """Name of the environment variable that holds the URL, instead."""
    workspace: Annotated[str | None, Field(min_length=1)] = None
    """Workspaces that give the same name share their examples. By default an id of the workspace's own, so that it
    reads no other's."""


BaseFormat = Literal["float32", "bfloat16", "nf4"]
"""How the numbers of a base's weights are held while an adapter is trained on it; `nf4` takes four bits each."""


class RefineSettings(Table):
    """`[refine]`."""

    every: Annotated[int | None, Field(ge=1)] = None
    """`refine --when-due` does nothing until so many new examples have come."""
    least_examples: Annotated[int, Field(ge=10)] = 40
    """To train on, without which nothing is learned."""
    small_model: bool = True
    """Whether the small model is trained too, if it reads and the extra `refine` is there; else the reader alone."""
    base_format: BaseFormat | None = None
    """The small model's weights in training; by default `nf4` where a GPU and the extra `gpu` are, else `float32`."""
    seed: int = 17


class PatternSettings(Table):
    """One `[[privacy.patterns]]`: what else is replaced before anything leaves."""

    type: Annotated[str, Field(pattern="^[A-Z][A-Z_]{0,30}$", description="as it stands in placeholders")]
    regex: Annotated[str, Field(min_length=1, description="in the syntax of the `regex` module")]

    @field_validator("regex")
    @classmethod
    def compiles(cls, given: str) -> str:
        """A pattern that matches nothing at all would stand between any two letters."""
        try:
            if regex.compile(given).match("", timeout=1):
                raise ValueError("it matches the empty text")
        except (regex.error, TimeoutError) as error:
            raise ValueError(f"it is no regular expression ({error})") from error
        return given


class PrivacySettings(Table):
    """`[privacy]`."""

    patterns: tuple[PatternSettings, ...] = ()
    """Of identifiers that only the owner knows, such as case numbers."""
    ner: Path | None = None
    """A folder with a token classifier in transformers' form, which finds names besides; a relative one is below the
    workspace."""


class ServerSettings(Table):
    """`[server]`: `understudy serve` and `understudy chat`."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Another address than this machine's own needs an API key."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    """0 takes any that is free."""
    slots: Annotated[int, Field(ge=1, le=64)] = 2
    """Questions that are answered at once; the others wait."""
    queue: Annotated[int, Field(ge=1, le=10_000)] = 32
    """That may wait; more are told to try again later."""
    allowed_hosts: tuple[str, ...] = ()
    """Names besides those of loopback by which the server may be called, such as that of a proxy in front of it."""
    rate_per_minute: Annotated[float, Field(gt=0)] = 600
    """Requests to the API a key."""
    upload_mib: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Of all files that are sent at once."""
    session_hours: Annotated[float, Field(gt=0, le=24 * 365)] = 12
    """After which whoever logged in must do so again."""


class Settings(Table):
    """The whole file. Every key is optional."""

    small_model: SmallModelSettings = SmallModelSettings()
    deferral: DeferralSettings = DeferralSettings()
    budget: BudgetSettings = BudgetSettings()
    cache: CacheSettings = CacheSettings()
    experts: tuple[ExpertSettings, ...] = ()
    collections: dict[str, CollectionSettings] = {}
    principals: dict[Annotated[str, Field(min_length=1)], PrincipalSettings] | None = None
    """Without this table there is one user, who may read everything under any name."""
    examples: ExamplesSettings = ExamplesSettings()
    refine: RefineSettings = RefineSettings()
    briefing: BriefingSettings = BriefingSettings()
    privacy: PrivacySettings = PrivacySettings()
    audit: AuditSettings = AuditSettings()
    server: ServerSettings = ServerSettings()
    cluster: ClusterSettings = ClusterSettings()
    stores: StoresSettings = StoresSettings()
    mcp: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,30}$")], McpSettings] = {}

    @field_validator("principals")
    @classmethod
    def owner_is_unlimited(cls, given: dict[str, PrincipalSettings] | None) -> dict[str, PrincipalSettings] | None:
        """The owner has no labels: they may read everything."""
        if given is not None and OWNER in given:
            raise ValueError(f"the principal {OWNER!r} may read everything; give labels to another")
        return given

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read a file; one that is absent means every default. Raises `SettingsError`."""
        if not path.exists():
            return cls()
        try:
            return cls.parse(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not valid TOML: {error}") from error
        except OSError as error:
            raise SettingsError(f"{path} can't be read: {error.strerror}") from error

    @classmethod
    def parse(cls, tables: dict[str, Any], where: str = "settings") -> Settings:
        """Validate tables that have been read already. Raises `SettingsError`, naming the nearest known key."""
        try:
            return cls.model_validate(tables)
        except ValidationError as error:
            raise settings_error(cls, error, where) from error
