"""API keys: each stands for a principal, is shown once, and is kept as a hash."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, Row, insert, select, update

from understudy.apps.server.database import digest_of, keys, secret, transaction
from understudy.core.data import Data
from understudy.core.errors import ScopeError

__all__ = ["Key", "Keys"]

PREFIX = "us"
NOBODY = digest_of("")
"""What an unknown id is compared with, so that it takes as long as a known one."""


class Key(Data):
    """A key without its secret."""

    id: str
    principal: str
    name: str
    created: str
    expires: str | None
    revoked: str | None

    def good_at(self, moment: str) -> bool:
        """Whether it opens anything at some moment, in UTC."""
        return self.revoked is None and (self.expires is None or moment < self.expires)


class Keys:
    """The keys of a workspace. Raises `WorkspaceError` where its file can't be used.

    Args:
        engine: of the server's database.
        clock: the moment, in UTC.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._engine, self._clock = engine, clock

    def create(self, principal: str, name: str = "", days: float | None = None) -> tuple[Key, str]:
        """A new key with its secret, which nobody can find out later.

        Args:
            principal: for whom it stands.
            name: what it is for.
            days: after which it expires; never by default.
        """
        now = self._clock()
        key = Key(
            id=secrets.token_hex(4),
            principal=principal,
            name=name,
            created=now.isoformat(),
            expires=None if days is None else (now + timedelta(days=days)).isoformat(),
            revoked=None,
        )
        text = f"{PREFIX}_{key.id}_{secret()}"
        with transaction(self._engine) as db:
            db.execute(insert(keys).values(digest=digest_of(text), **key.model_dump()))
        return key, text

    def listing(self) -> list[Key]:
        """All keys, oldest first."""
        with transaction(self._engine) as db:
            return [key_of(row) for row in db.execute(select(keys).order_by(keys.c.created))]

    def revoke(self, key: str) -> Key:
        """Let a key open nothing any more; its sessions end with it. Raises `ScopeError`."""
        with transaction(self._engine) as db:
            db.execute(
                update(keys).where(keys.c.id == key, keys.c.revoked.is_(None)).values(revoked=self._clock().isoformat())
            )
        found = self.get(key)
        if found is None:
            raise ScopeError(f"there is no key {key!r}; understudy keys list shows those that are")
        return found

    def get(self, key: str) -> Key | None:
        """A key by its id."""
        with transaction(self._engine) as db:
            row = db.execute(select(keys).where(keys.c.id == key)).one_or_none()
        return None if row is None else key_of(row)

    def find(self, text: str) -> Key | None:
        """The key whose secret this is, if it opens anything now.

        It is looked up by the id, which is no secret; what is secret is compared in constant time.
        """
        with transaction(self._engine) as db:
            row = db.execute(select(keys).where(keys.c.id == id_in(text))).one_or_none()
        same = hmac.compare_digest(digest_of(text), NOBODY if row is None else row.digest)
        return key_of(row) if row is not None and same and self.good(key_of(row)) else None

    def good(self, key: Key) -> bool:
        """Whether it opens anything now."""
        return key.good_at(self._clock().isoformat())

    def any_made(self) -> bool:
        """Whether there was ever one: from then on a request needs one, though all were revoked since."""
        with transaction(self._engine) as db:
            return db.execute(select(keys.c.id).limit(1)).one_or_none() is not None

    def any_good(self) -> bool:
        """Whether one opens anything now."""
        return any(self.good(key) for key in self.listing())


def id_in(text: str) -> str:
    """The id that a key's text names."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""


def key_of(row: Row[tuple[object, ...]]) -> Key:
    """A row of the table."""
    held = dict(row._mapping)
    return Key(**{name: held[name] for name in Key.model_fields})
