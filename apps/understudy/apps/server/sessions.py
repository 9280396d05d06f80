"""Sessions of the web app: whoever typed a key in stays in for a while, by a cookie that is no key."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, delete, insert, select

from understudy.apps.server.database import digest_of, secret, sessions, transaction
from understudy.apps.server.keys import Key, Keys

__all__ = ["COOKIE", "Session", "Sessions"]

COOKIE = "understudy_session"


@dataclass(frozen=True)
class Session:
    """Somebody who is in."""

    key: Key
    csrf: str
    """What a page must send back with all that changes something; another site can't read it."""

    def sent_back(self, token: str | None) -> bool:
        """Whether a request comes from a page of ours."""
        return token is not None and hmac.compare_digest(token.encode(), self.csrf.encode())


class Sessions:
    """Who is in. A session is kept as a hash; it ends by itself, by `end`, and with its key.

    Args:
        engine: of the server's database.
        keys: of the same.
        hours: that a session lasts.
        clock: the moment, in UTC.
    """

    def __init__(
        self, engine: Engine, keys: Keys, hours: float, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine, self._keys, self._clock = engine, keys, clock
        self.seconds = int(hours * 3600)

    def begin(self, key: Key) -> str:
        """A new session; what the cookie holds."""
        text, now = secret(), self._clock()
        expires = (now + timedelta(seconds=self.seconds)).isoformat()
        with transaction(self._engine) as db:
            db.execute(delete(sessions).where(sessions.c.expires <= now.isoformat()))
            db.execute(insert(sessions).values(digest=digest_of(text), key=key.id, csrf=secret(), expires=expires))
        return text

    def find(self, text: str) -> Session | None:
        """The session of a cookie, if it lasts and its key opens anything still."""
        with transaction(self._engine) as db:
            row = db.execute(select(sessions).where(sessions.c.digest == digest_of(text))).one_or_none()
        if row is None or row.expires <= self._clock().isoformat():
            return None
        key = self._keys.get(row.key)
        return Session(key, row.csrf) if key is not None and self._keys.good(key) else None

    def end(self, text: str) -> None:
        """Log out."""
        with transaction(self._engine) as db:
            db.execute(delete(sessions).where(sessions.c.digest == digest_of(text)))
