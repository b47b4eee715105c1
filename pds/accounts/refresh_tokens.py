"""The table `refresh_token`: sessions that can be renewed, one row each.

Writing methods belong inside a transaction; `AccountManager` opens it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.timestamps import epoch_s_of, iso_of
from pds.accounts.codes import new_refresh_jti
from pds.accounts.session_tokens import RefreshToken
from repo.syntax import Did

GRACE_S: Final = 2 * 60 * 60
"""How long a refresh token works on after its first use: a client may lose the answer."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """What follows from using a refresh token: whose it is, and the id of its successor."""

    did: Did
    next_jti: str
    app_password_name: str | None


class RefreshTokens:
    """Rows of `refresh_token`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, token: RefreshToken, *, app_password_name: str | None) -> None:
        """Store a token. One that is there already stays as it is: see `renew`."""
        self._db.run(
            "INSERT INTO refresh_token (id, did, expiresAt, appPasswordName) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (token.jti, token.did, iso_of(token.expires_at), app_password_name),
        )

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
        next_jti = next_jti or new_refresh_jti()
        self._db.run(
            "UPDATE refresh_token SET expiresAt = ?, nextId = ? WHERE id = ?",
            (iso_of(expires_at), next_jti, jti),
        )
        return Renewal(did, next_jti, app_password_name)

    def revoke(self, jti: str) -> None:
        """Forget one token."""
        self._db.run("DELETE FROM refresh_token WHERE id = ?", (jti,))

    def revoke_all(self, did: Did) -> None:
        """Forget every token of an account."""
        self._db.run("DELETE FROM refresh_token WHERE did = ?", (did,))

    def revoke_of_app_password(self, did: Did, name: str) -> None:
        """Forget every token of the sessions opened with one app password."""
        self._db.run("DELETE FROM refresh_token WHERE did = ? AND appPasswordName = ?", (did, name))
