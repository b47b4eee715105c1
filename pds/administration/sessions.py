"""The table `holdfast_admin_session`: browsers in which the administrator has signed in.

A session lasts twelve hours, and ends at once when `PDS_ADMIN_PASSWORD` or the second factor is
another one. The cookie's value is stored only as a hash, so that who reads a backup gets no
session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock

LIFETIME_S: Final = 12 * 60 * 60
RECENT_S: Final = 10 * 60
"""How long after the password was given a dangerous step is done without asking again."""
MOST: Final = 50
"""Sessions at a time. Further ones replace the oldest."""
_AGENT_CHARACTERS: Final = 300
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_admin_session (
  tokenHash BLOB PRIMARY KEY,
  credentials BLOB NOT NULL,
  startedAt INTEGER NOT NULL,
  confirmedAt INTEGER NOT NULL,
  address TEXT NOT NULL,
  userAgent TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""
_COLUMNS: Final = "tokenHash, startedAt, confirmedAt, address, userAgent"
_IS_CURRENT: Final = "credentials = ?1 AND startedAt > ?2"
_is_token: Final = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch


@dataclass(slots=True, frozen=True)
class AdminSession:
    """A browser that is signed in. Times are seconds since the Unix epoch."""

    token_hash: bytes
    started_at: int
    confirmed_at: int
    """When the password was given last."""
    address: str
    user_agent: str

    @property
    def id(self) -> str:
        """The name of the session on pages, which is no secret."""
        return self.token_hash[:8].hex()


class AdminSessions:
    """Begins, finds and ends sessions. Methods raise `DatabaseError`s."""

    def __init__(
        self, db: Database, *, password: str, secret: bytes, clock: Clock = time.time
    ) -> None:
        """Create the table if necessary. `secret` keeps the stored mark of `password` opaque."""
        self._db = db
        self._clock = clock
        self._password = password
        self._secret = secret
        db.run(_SCHEMA)

    def is_password(self, text: str) -> bool:
        """Whether `text` is the administrator's password, compared in constant time."""
        given, expected = self._mark(text), self._mark(self._password)
        return hmac.compare_digest(given, expected) and bool(self._password)

    async def begin(self, address: str, user_agent: str) -> str:
        """Return the value for the cookie of a new session."""
        token = secrets.token_urlsafe(32)
        now_s = int(self._clock())
        row = (
            *(_hash_of(token), self._mark(self._password), now_s, now_s),
            *(address, user_agent[:_AGENT_CHARACTERS]),
        )

        def begin() -> None:
            self._db.run(
                "DELETE FROM holdfast_admin_session WHERE startedAt <= ?", (now_s - LIFETIME_S,)
            )
            self._db.run(
                "DELETE FROM holdfast_admin_session WHERE tokenHash IN ("
                " SELECT tokenHash FROM holdfast_admin_session"
                " ORDER BY startedAt DESC, tokenHash LIMIT -1 OFFSET ?)",
                (MOST - 1,),
            )
            self._db.run("INSERT INTO holdfast_admin_session VALUES (?, ?, ?, ?, ?, ?)", row)

        await write(self._db, begin)
        return token

    def find(self, token: str | None) -> AdminSession | None:
        """Return the session of a cookie, if it lasts."""
        if token is None or not _is_token(token):
            return None
        row = self._db.one(
            f"SELECT {_COLUMNS} FROM holdfast_admin_session WHERE tokenHash = ?3 AND {_IS_CURRENT}",
            (*self._current(), _hash_of(token)),
        )
        return None if row is None else _session_of(row)

    def list(self) -> list[AdminSession]:
        """Return the sessions that last, newest first."""
        rows = self._db.all(
            f"SELECT {_COLUMNS} FROM holdfast_admin_session WHERE {_IS_CURRENT}"
            " ORDER BY startedAt DESC, tokenHash",
            self._current(),
        )
        return [_session_of(row) for row in rows]

    def is_recent(self, session: AdminSession) -> bool:
        """Whether the password was given in this session a short time ago."""
        return self._clock() - session.confirmed_at <= RECENT_S

    async def confirm(self, session: AdminSession) -> None:
        """Note that the password was given again."""
        sql = "UPDATE holdfast_admin_session SET confirmedAt = ? WHERE tokenHash = ?"
        row = (int(self._clock()), session.token_hash)
        await write(self._db, lambda: self._db.run(sql, row))

    async def end(self, session: AdminSession) -> None:
        """End a session. May be repeated."""
        sql = "DELETE FROM holdfast_admin_session WHERE tokenHash = ?"
        await write(self._db, lambda: self._db.run(sql, (session.token_hash,)))

    async def end_others(self, session: AdminSession) -> None:
        """End every session but this one."""
        sql = "DELETE FROM holdfast_admin_session WHERE tokenHash <> ?"
        await write(self._db, lambda: self._db.run(sql, (session.token_hash,)))

    def _current(self) -> tuple[bytes, int]:
        return self._mark(self._password), int(self._clock()) - LIFETIME_S

    def _mark(self, password: str) -> bytes:
        return hmac.digest(self._secret, password.encode("utf-8", "replace"), "sha256")


def _hash_of(token: str) -> bytes:
    # The token has 256 random bits, so that one round without a salt is enough.
    return hashlib.sha256(token.encode()).digest()


def _session_of(row: tuple[Any, ...]) -> AdminSession:
    token_hash, started_at, confirmed_at, address, user_agent = row
    return AdminSession(bytes(token_hash), started_at, confirmed_at, address, user_agent)
