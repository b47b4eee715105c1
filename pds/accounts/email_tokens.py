"""The table `email_token`: codes sent by mail that confirm an action.

An account has at most one per purpose.
"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, epoch_s_of, iso_of
from pds.accounts.codes import new_email_token
from pds.accounts.errors import ExpiredToken, InvalidToken
from repo.syntax import Did

LIFETIME_S: Final = 15 * 60


class EmailTokenPurpose(StrEnum):
    """The action that a token confirms."""

    CONFIRM_EMAIL = "confirm_email"
    UPDATE_EMAIL = "update_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose
    DELETE_ACCOUNT = "delete_account"
    PLC_OPERATION = "plc_operation"


class EmailTokens:
    """Creates, checks and deletes the tokens of accounts."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        self._db = db
        self._clock = clock

    async def create(self, did: Did, purpose: EmailTokenPurpose) -> str:
        """Create a token to send to the account's address, valid for 15 minutes.

        It replaces an earlier one for the same purpose.
        """

        def create() -> str:
            token = new_email_token()
            self._db.run(
                "INSERT INTO email_token (purpose, did, token, requestedAt) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (purpose, did)"
                " DO UPDATE SET token = excluded.token, requestedAt = excluded.requestedAt",
                (purpose.value, did, token, iso_of(self._clock())),
            )
            return token

        return await write(self._db, create)

    async def use(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Check a token and delete it. Raises `InvalidToken` or `ExpiredToken`."""
        await write(self._db, lambda: self.take(did, purpose, token))

    def check(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Check a token without deleting it. Raises `InvalidToken` or `ExpiredToken`."""
        requested_at = self._db.value(
            "SELECT requestedAt FROM email_token WHERE purpose = ? AND did = ? AND token = ?",
            (purpose.value, did, _as_stored(token)),
        )
        self._check_age(requested_at)

    def find_did(self, purpose: EmailTokenPurpose, token: str) -> Did:
        """Return the DID that a token belongs to. Raises `InvalidToken` or `ExpiredToken`."""
        row = self._db.one(
            "SELECT did, requestedAt FROM email_token WHERE purpose = ? AND token = ?",
            (purpose.value, _as_stored(token)),
        )
        did, requested_at = row or (None, None)
        self._check_age(requested_at)
        return Did(did)

    def take(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Do as `use`, inside a transaction."""
        self.check(did, purpose, token)
        self.delete(did, purpose)

    def delete(self, did: Did, purpose: EmailTokenPurpose) -> None:
        """Delete the account's token for one purpose, inside a transaction."""
        self._db.run("DELETE FROM email_token WHERE purpose = ? AND did = ?", (purpose.value, did))

    def delete_all(self, did: Did) -> None:
        """Delete all of the account's tokens, inside a transaction."""
        self._db.run("DELETE FROM email_token WHERE did = ?", (did,))

    def _check_age(self, requested_at: str | None) -> None:
        if requested_at is None:
            raise InvalidToken("Token is invalid")
        if epoch_s_of(requested_at) + LIFETIME_S < self._clock():
            raise ExpiredToken("Token is expired")


def _as_stored(token: str) -> str:
    """Normalize a token that was typed, or pasted from a mail."""
    return token.strip().upper()
