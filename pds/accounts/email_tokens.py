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
    """What a token confirms."""

    CONFIRM_EMAIL = "confirm_email"
    UPDATE_EMAIL = "update_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105 - a purpose
    DELETE_ACCOUNT = "delete_account"
    PLC_OPERATION = "plc_operation"


class EmailTokens:
    """Makes, checks and forgets the tokens of accounts."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        self._db = db
        self._clock = clock

    async def create(self, did: Did, purpose: EmailTokenPurpose) -> str:
        """A token to be sent to the account's address, valid for 15 minutes.

        It replaces an earlier one of the same purpose.
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
        """Check a token and forget it. Raises `InvalidToken` or `ExpiredToken`."""
        await write(self._db, lambda: self.take(did, purpose, token))

    def check(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """Check a token and leave it. Raises `InvalidToken` or `ExpiredToken`."""
        requested_at = self._db.value(
            "SELECT requestedAt FROM email_token WHERE purpose = ? AND did = ? AND token = ?",
            (purpose.value, did, _as_stored(token)),
        )
        self._check_age(requested_at)

    def find_did(self, purpose: EmailTokenPurpose, token: str) -> Did:
        """Whose token it is. Raises `InvalidToken` or `ExpiredToken`."""
        row = self._db.one(
            "SELECT did, requestedAt FROM email_token WHERE purpose = ? AND token = ?",
            (purpose.value, _as_stored(token)),
        )
        did, requested_at = row or (None, None)
        self._check_age(requested_at)
        return Did(did)

    def take(self, did: Did, purpose: EmailTokenPurpose, token: str) -> None:
        """As `use`, inside a transaction."""
        self.check(did, purpose, token)
        self.delete(did, purpose)

    def delete(self, did: Did, purpose: EmailTokenPurpose) -> None:
        """Forget the account's token of one purpose, inside a transaction."""
        self._db.run("DELETE FROM email_token WHERE purpose = ? AND did = ?", (purpose.value, did))

    def delete_all(self, did: Did) -> None:
        """Forget all of the account's tokens, inside a transaction."""
        self._db.run("DELETE FROM email_token WHERE did = ?", (did,))

    def _check_age(self, requested_at: str | None) -> None:
        if requested_at is None:
            raise InvalidToken("Token is invalid")
        if epoch_s_of(requested_at) + LIFETIME_S < self._clock():
            raise ExpiredToken("Token is expired")


def _as_stored(token: str) -> str:
    """A token as typed, or as pasted out of a mail."""
    return token.strip().upper()
