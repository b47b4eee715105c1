"""The table `account_device`: accounts that are signed in in a browser, and stay so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from repo.syntax import Did

MAX_ACCOUNTS: Final = 10
"""How many accounts are remembered in a browser; the one used least recently goes first."""


@dataclass(slots=True, frozen=True)
class SignIn:
    """An account that a browser remembers. Times are ISO 8601 with milliseconds."""

    did: Did
    device_id: str
    created_at: str
    updated_at: str
    """When the password was last given."""


@dataclass(slots=True, frozen=True)
class SignedInDevice:
    """A browser in which an account is signed in, for the account's owner to see."""

    device_id: str
    user_agent: str | None
    ip_address: str
    last_seen_at: str
    signed_in_at: str


class SignIns:
    """Remembers and forgets who is signed in in which browser."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        self._db = db
        self._clock = clock

    async def remember(
        self, did: Did, device_id: str, *, check: Callable[[], None] | None = None
    ) -> None:
        """Store that an account has just signed in, unless `check` raises meanwhile."""
        now = iso_of(self._clock())

        def add() -> None:
            if check is not None:
                check()
            self._db.run(
                """INSERT INTO account_device (did, deviceId, createdAt, updatedAt)
                VALUES (?1, ?2, ?3, ?3)
                ON CONFLICT (deviceId, did) DO UPDATE SET updatedAt = ?3""",
                (did, device_id, now),
            )
            self._db.run(
                """DELETE FROM account_device WHERE deviceId = ?1 AND did IN (
                    SELECT did FROM account_device WHERE deviceId = ?1
                    ORDER BY updatedAt DESC, did LIMIT -1 OFFSET ?2)""",
                (device_id, MAX_ACCOUNTS),
            )

        await write(self._db, add)

    async def forget(self, did: Did, device_id: str) -> None:
        """Sign an account out of a browser. What is not signed in is ignored."""
        await write(self._db, lambda: self.remove(did, device_id))

    def remove(self, did: Did, device_id: str) -> None:
        """Do what `forget` does, inside a transaction."""
        self._db.run("DELETE FROM account_device WHERE did = ? AND deviceId = ?", (did, device_id))

    def remove_all(self, did: Did) -> None:
        """Sign an account out of every browser, inside a transaction."""
        self._db.run("DELETE FROM account_device WHERE did = ?", (did,))

    def find(self, did: Did, device_id: str) -> SignIn | None:
        """Return whether and since when an account is signed in in a browser."""
        row = self._db.one(
            "SELECT did, deviceId, createdAt, updatedAt FROM account_device"
            " WHERE did = ? AND deviceId = ?",
            (did, device_id),
        )
        return None if row is None else SignIn(*row)

    def of_device(self, device_id: str) -> list[SignIn]:
        """Return who is signed in in a browser, the latest sign-in first."""
        rows = self._db.all(
            "SELECT did, deviceId, createdAt, updatedAt FROM account_device"
            " WHERE deviceId = ? ORDER BY updatedAt DESC LIMIT ?",
            (device_id, MAX_ACCOUNTS),
        )
        return [SignIn(*row) for row in rows]

    def of_account(self, did: Did, *, limit: int = 100) -> list[SignedInDevice]:
        """Return the browsers in which an account is signed in, the latest sign-in first."""
        rows = self._db.all(
            """SELECT device.id, userAgent, ipAddress, lastSeenAt, account_device.updatedAt
            FROM account_device JOIN device ON device.id = deviceId
            WHERE did = ? ORDER BY account_device.updatedAt DESC LIMIT ?""",
            (did, limit),
        )
        return [SignedInDevice(*row) for row in rows]
