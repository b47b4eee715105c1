"""The tables `holdfast_email_factor` and `holdfast_mailed_code`: codes that are sent by mail.

Somebody who knows a password can make the server send mails to the account's owner. So they are
few, and one does not void those before: the owner can use any that has arrived.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.codes import new_email_token
from repo.syntax import Did

LIFETIME_S: Final = 15 * 60
PAUSE_S: Final = 60
"""Between two mails to one account."""
HOURLY: Final = 10
"""Mails to one account in an hour."""
_HOUR_S: Final = 60 * 60


class MailedCodes:
    """Who gets codes by mail, and the codes. Methods that are not async are single statements."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def since(self, did: Did) -> str | None:
        """Return when codes by mail were turned on; None if they are not."""
        found: str | None = self._db.value(
            "SELECT changedAt FROM holdfast_email_factor WHERE did = ? AND isOn", (did,)
        )
        return found

    def find_state(self, did: Did) -> bool | None:
        """Return whether codes by mail are on; None if they have never been."""
        found = self._db.value("SELECT isOn FROM holdfast_email_factor WHERE did = ?", (did,))
        return None if found is None else bool(found)

    def turn_on(self, did: Did) -> None:
        """Turn codes by mail on, inside a transaction. May be repeated."""
        self._db.run(
            "INSERT INTO holdfast_email_factor (did, isOn, changedAt) VALUES (?1, 1, ?2)"
            " ON CONFLICT (did) DO UPDATE SET isOn = 1, changedAt = ?2 WHERE NOT isOn",
            (did, iso_of(self._clock())),
        )

    def turn_off(self, did: Did) -> None:
        """Turn codes by mail off, inside a transaction. May be repeated."""
        # The row stays: clients that know the factor as on must be told that it is off.
        self._db.run("UPDATE holdfast_email_factor SET isOn = 0 WHERE did = ?", (did,))
        self._db.run("DELETE FROM holdfast_mailed_code WHERE did = ?", (did,))

    async def create(self, did: Did) -> str | None:
        """Create a code to send, valid for 15 minutes; None if one was sent a moment ago.

        None also after ten in an hour.
        """
        return await write(self._db, lambda: self._create(did))

    def take(self, did: Did, code: str) -> bool:
        """Use a code up, inside a transaction. False if it is wrong, was used, or has expired."""
        sent_at = self._db.value(
            # The row stays, empty of its code, because mails are counted by rows.
            "UPDATE holdfast_mailed_code SET hash = randomblob(32)"
            " WHERE did = ?1 AND hash = ?2 AND sentAt >= ?3 RETURNING sentAt",
            (did, _hash(did, code), int(self._clock()) - LIFETIME_S),
        )
        return sent_at is not None

    def _create(self, did: Did) -> str | None:
        now_s = int(self._clock())
        self._db.run(
            "DELETE FROM holdfast_mailed_code WHERE did = ? AND sentAt <= ?", (did, now_s - _HOUR_S)
        )
        sent, last_s = self._db.one(
            "SELECT count(*), max(sentAt) FROM holdfast_mailed_code WHERE did = ?", (did,)
        ) or (0, None)
        if sent >= HOURLY or (last_s is not None and now_s - last_s < PAUSE_S):
            return None
        code = new_email_token()
        self._db.run(
            "INSERT INTO holdfast_mailed_code (did, hash, sentAt) VALUES (?, ?, ?)",
            (did, _hash(did, code), now_s),
        )
        return code


def _hash(did: Did, code: str) -> bytes:
    """Hash a code as people type it, with or without the hyphen, in either case."""
    letters = "".join(each for each in code.lower() if each.isalnum())
    return sha256(f"{did} mail {letters}".encode()).digest()
