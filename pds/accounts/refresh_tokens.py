"""The table `refresh_token`: sessions that can be renewed, one row each.

Writing methods belong inside a transaction; `Sessions` opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.timestamps import epoch_s_of, iso_of
from pds.accounts.session_tokens import RefreshToken
from repo.syntax import Did

GRACE_S: Final = 2 * 60 * 60
"""How long a refresh token works on after its first use: a client may lose the answer."""
MAX_ROWS: Final = 2_000
"""Tokens of one account. Using one or ending a session reads them all, on the event loop."""

_KEPT_EIGHTHS: Final = 7
"""What is kept when there are too many, so that making room is rare."""
_DROPPED_AT_ONCE: Final = 500
"""Where the reference has left many more, they go in steps."""
# Used tokens first. Then those of the app password, or of the account's own, that has the most of
# them, so that a bot which logs in all day ends its own sessions and nobody's on a phone.
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
"""Of a session within the 90 days that one of its refresh tokens lives: once every two hours."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What follows from using a refresh token: whose it is, and the id of its successor."""

    did: Did
    next_jti: str
    app_password_name: str | None


class RefreshTokens:
    """Rows of `refresh_token`."""

    def __init__(self, db: Database, *, successor_of: Callable[[str], str]) -> None:
        """`successor_of` gives the id of the token that follows, always the same."""
        self._db = db
        self._successor_of = successor_of

    def add(self, token: RefreshToken, *, app_password_name: str | None) -> None:
        """Store a token. One that is there already stays as it is: see `renew`.

        Where an account has too many, those make room that it needs least.
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
        """Use a token; None if it is unknown, revoked or past its grace.

        Every use within the grace names the same successor, so that a client which sends its
        token twice at once, or never sees the answer, does not lose the session. Expired rows of
        the account are deleted.
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
        # The minimum with the old value fixes the grace at two hours after the first use.
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
        """Forget a token with its whole session: predecessors in their grace, and successors.

        Also by one whose own row is gone, because its grace is over.
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

    def revoke_all(self, did: Did) -> None:
        """Forget every token of an account."""
        self._db.run("DELETE FROM refresh_token WHERE did = ?", (did,))

    def revoke_of_app_password(self, did: Did, name: str) -> None:
        """Forget every token of the sessions opened with one app password."""
        self._db.run("DELETE FROM refresh_token WHERE did = ? AND appPasswordName = ?", (did, name))


def _chain(jti: str | None, links: Mapping[str, str | None]) -> Iterator[str]:
    """A token, and those that one link after the other leads to."""
    seen: set[str] = set()
    while jti is not None and jti not in seen:
        seen.add(jti)
        yield jti
        jti = links.get(jti)
