"""The table `email_token`: codes sent by mail that confirm an action.

An account has at most one per purpose. Writing methods belong inside a transaction;
`AccountManager` opens it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from database.connection import Database
from database.timestamps import epoch_s_of, iso_of
from pds.accounts.codes import new_email_token
from pds.accounts.errors import ExpiredToken, InvalidToken
from repo.syntax import Did

LIFETIME_S: Final = 15 * 60


class EmailTokenPurpose(StrEnum):
    """What a token confirms."""

    CONFIRM_EMAIL = "confirm_email"
    UPDATE_EMAIL = "update_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose
    DELETE_ACCOUNT = "delete_account"
    PLC_OPERATION = "plc_operation"


class EmailTokens:
    """Rows of `email_token`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def create(self, did: Did, purpose: EmailTokenPurpose, *, now_s: float) -> str:
        """A new token, which replaces an earlier one of the same purpose."""
        token = new_email_token()
        self._db.run(
            "INSERT INTO email_token (purpose, did, token, requestedAt) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (purpose, did)"
            " DO UPDATE SET token = excluded.token, requestedAt = excluded.requestedAt",
            (purpose.value, did, token, iso_of(now_s)),
        )
        return token

    def check(self, did: Did, purpose: EmailTokenPurpose, token: str, *, now_s: float) -> None:
        """Raise `InvalidToken` or `ExpiredToken` unless `token` is the account's."""
        requested_at = self._db.value(
            "SELECT requestedAt FROM email_token WHERE purpose = ? AND did = ? AND token = ?",
            (purpose.value, did, _as_stored(token)),
        )
        _check_age(requested_at, now_s)

    def find_did(self, purpose: EmailTokenPurpose, token: str, *, now_s: float) -> Did:
        """Whose token it is. Raises `InvalidToken` or `ExpiredToken`."""
        row = self._db.one(
            "SELECT did, requestedAt FROM email_token WHERE purpose = ? AND token = ?",
            (purpose.value, _as_stored(token)),
        )
        did, requested_at = row or (None, None)
        _check_age(requested_at, now_s)
        return Did(did)

    def delete(self, did: Did, purpose: EmailTokenPurpose) -> None:
        """Forget the account's token of one purpose."""
        self._db.run("DELETE FROM email_token WHERE purpose = ? AND did = ?", (purpose.value, did))

    def delete_all(self, did: Did) -> None:
        """Forget all of the account's tokens."""
        self._db.run("DELETE FROM email_token WHERE did = ?", (did,))


def _as_stored(token: str) -> str:
    """A token as typed, or as pasted out of a mail."""
    return token.strip().upper()


def _check_age(requested_at: str | None, now_s: float) -> None:
    if requested_at is None:
        raise InvalidToken("Token is invalid")
    if epoch_s_of(requested_at) + LIFETIME_S < now_s:
        raise ExpiredToken("Token is expired")
