"""The table `refresh_token`, with one row for each refresh token of a session.

Methods that write must be called inside a transaction, which `Sessions` opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.timestamps import epoch_s_of, iso_of
from pds.accounts.session_tokens import REFRESH_LIFETIME_S, RefreshToken
from repo.syntax import Did

GRACE_S: Final = 2 * 60 * 60
"""How long a refresh token stays valid after its first use: a client may lose the response."""
MAX_ROWS: Final = 2_000
"""Limit for one account. Using a token or ending a session reads them all, on the event loop."""

_KEPT_EIGHTHS: Final = 7
"""The share that is kept when the limit is exceeded, so that evictions are rare."""
_DROPPED_AT_ONCE: Final = 500
"""Rows deleted per step, where the reference PDS has left many more than the limit."""
# Evicts used tokens first, then those of the password (an app password or the account's own) with
# the most tokens, so that a bot that logs in all day ends its own sessions and not a phone's.
_LEAST_NEEDED: Final = """
DELETE FROM refresh_token WHERE id IN (
  SELECT id FROM refresh_token WHERE did = ?
  ORDER BY nextId IS NULL,
    count(*) OVER (PARTITION BY nextId IS NULL, appPasswordName) DESC,
    expiresAt, rowid
  LIMIT ?
)
"""
_MOST_RENEWALS: Final = 1_200
"""The most renewals of a session in the 90-day lifetime of a refresh token: one per two hours."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The result of using a refresh token: its account, and the id of its successor."""

    did: Did
    next_jti: str
    app_password_name: str | None


@dataclass(frozen=True, slots=True)
class NewestToken:
    """The refresh token that a session has now."""

    jti: str
    made_at_s: float
    """When the session was opened or last renewed."""
    app_password_name: str | None
    """None if it was opened with the account's own password."""


class RefreshTokens:
    """Rows of `refresh_token`."""

    def __init__(self, db: Database, *, successor_of: Callable[[str], str]) -> None:
        """Name successors with `successor_of`, which maps an id to the next, always the same."""
        self._db = db
        self._successor_of = successor_of

    def add(self, token: RefreshToken, *, app_password_name: str | None) -> None:
        """Store a token; an existing one is left unchanged: see `renew`.

        If the account has too many, the least needed ones are evicted.
        """
        self._db.run(
            "INSERT INTO refresh_token (id, did, expiresAt, appPasswordName) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (token.jti, token.did, iso_of(token.expires_at), app_password_name),
        )
        rows = self._db.value("SELECT count(*) FROM refresh_token WHERE did = ?", (token.did,))
        if rows > MAX_ROWS:
            excess = rows - MAX_ROWS * _KEPT_EIGHTHS // 8
            self._db.run(_LEAST_NEEDED, (token.did, min(excess, _DROPPED_AT_ONCE)))

    def renew(self, jti: str, *, now_s: float) -> Renewal | None:
        """Use a token; return None if it is unknown, revoked or past its grace period.

        Every use within the grace period names the same successor, so that a client that sends its
        token twice at once, or never receives the response, keeps its session. Expired rows of the
        account are deleted.
        """
        row = self._db.one(
            "SELECT did, expiresAt, nextId, appPasswordName FROM refresh_token WHERE id = ?",
            (jti,),
        )
        if row is None:
            return None
        did, expires_iso, next_jti, app_password_name = row
        self._db.run(
            "DELETE FROM refresh_token WHERE did = ? AND expiresAt <= ?", (did, iso_of(now_s))
        )
        # The minimum with the old value ends the grace period two hours after the first use.
        expires_at = min(epoch_s_of(expires_iso), now_s + GRACE_S)
        if expires_at <= now_s:
            return None
        next_jti = next_jti or self._successor_of(jti)
        self._db.run(
            "UPDATE refresh_token SET expiresAt = ?, nextId = ? WHERE id = ?",
            (iso_of(expires_at), next_jti, jti),
        )
        return Renewal(did, next_jti, app_password_name)

    def revoke(self, did: Did, jti: str) -> None:
        """Delete a token's whole session: predecessors in their grace period, and successors.

        This also works with a token whose own row is deleted because its grace period is over.
        """
        rows = self._db.all("SELECT id, nextId FROM refresh_token WHERE did = ?", (did,))
        following: dict[str, str | None] = dict(rows)
        preceding: dict[str, str | None] = {
            next_jti: one for one, next_jti in rows if next_jti is not None
        }
        for _ in range(_MOST_RENEWALS if following else 0):
            if jti in following:
                break
            jti = self._successor_of(jti)
        family = [*_chain(jti, following), *_chain(jti, preceding)]
        self._db.many(
            "DELETE FROM refresh_token WHERE id = ? AND did = ?", [(one, did) for one in family]
        )

    def newest(self, did: Did, *, now_s: float, limit: int) -> list[NewestToken]:
        """Return the newest token of each session, those that were used last first.

        That is the one without a successor.
        """
        rows = self._db.all(
            "SELECT id, expiresAt, appPasswordName FROM refresh_token"
            " WHERE did = ? AND nextId IS NULL AND expiresAt > ?"
            " ORDER BY expiresAt DESC LIMIT ?",
            (did, iso_of(now_s), limit),
        )
        return [
            NewestToken(jti, epoch_s_of(expires) - REFRESH_LIFETIME_S, name)
            for jti, expires, name in rows
        ]

    def revoke_all(self, did: Did) -> None:
        """Delete every token of an account."""
        self._db.run("DELETE FROM refresh_token WHERE did = ?", (did,))

    def revoke_of_app_passwords(self, did: Did) -> None:
        """Revoke the tokens of every app password, inside a transaction."""
        self._db.run(
            "DELETE FROM refresh_token WHERE did = ? AND appPasswordName IS NOT NULL", (did,)
        )

    def revoke_of_app_password(self, did: Did, name: str) -> None:
        """Delete every token of the sessions opened with one app password."""
        self._db.run("DELETE FROM refresh_token WHERE did = ? AND appPasswordName = ?", (did, name))


def _chain(jti: str | None, links: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a token and those reached by following the links from it."""
    seen: set[str] = set()
    while jti is not None and jti not in seen:
        seen.add(jti)
        yield jti
        jti = links.get(jti)
