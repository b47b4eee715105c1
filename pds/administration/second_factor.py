"""The table `holdfast_admin_factor`: the authenticator app of the administrator, if there is one.

It protects the pages. The API takes the password alone, as the reference PDS's does. Only a command
on the machine itself resets it: `pds admin reset-second-factor`.
"""

from __future__ import annotations

import time
from typing import Final

import structlog

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from pds.second_factors.sealing import Sealer
from pds.second_factors.totp import find_step, new_secret

WRONG_A_DAY: Final = 60
"""Wrong codes with the right password, from anywhere: more cannot be tried."""
_DAY_S: Final = 24 * 60 * 60
_OFFER_S: Final = 15 * 60
_STORED: Final = "administrator's app"
_OFFERED: Final = "offer of the administrator's app"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_admin_factor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  secret BLOB NOT NULL,
  lastStep INTEGER NOT NULL,
  createdAt INTEGER NOT NULL,
  wrong INTEGER NOT NULL,
  wrongUntil INTEGER NOT NULL
) STRICT
"""
_ADD: Final = (
    "INSERT OR IGNORE INTO holdfast_admin_factor"
    " (id, secret, lastStep, createdAt, wrong, wrongUntil) VALUES (1, ?, ?, ?, 0, 0)"
)
_REMOVE: Final = "DELETE FROM holdfast_admin_factor"

_log = structlog.get_logger(__name__)


class TooManyWrongCodes(Exception):
    """Codes are refused for the rest of a day."""

    def __init__(self) -> None:
        super().__init__("Too many wrong codes were given today")


class AdminSecondFactor:
    """One authenticator app. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database, key: bytes, *, clock: Clock = time.time) -> None:
        """Create the table if necessary. `key` encrypts the secret: 32 bytes."""
        self._db = db
        self._sealer = Sealer(key)
        self._clock = clock
        db.run(_SCHEMA)

    @property
    def since(self) -> int | None:
        """When the app was set up, in seconds since the Unix epoch; None if there is none."""
        found: int | None = self._db.value("SELECT createdAt FROM holdfast_admin_factor")
        return found

    @property
    def is_set(self) -> bool:
        """Whether the pages ask for a code."""
        return self.since is not None

    def offer(self) -> tuple[str, str]:
        """Return a new secret, and the same sealed, for the form that confirms it."""
        secret = new_secret()
        text = f"{int(self._clock())} {secret}"
        return secret, self._sealer.seal(text.encode(), purpose=_OFFERED).hex()

    def offered(self, sealed: str) -> str | None:
        """Return the secret that was sealed some minutes ago; None for anything else."""
        try:
            data = self._sealer.open(bytes.fromhex(sealed), purpose=_OFFERED)
        except ValueError:
            return None
        if data is None:
            return None
        offered_at, _, secret = data.decode().partition(" ")
        return secret if self._clock() - int(offered_at) <= _OFFER_S else None

    async def set_up(self, secret: str, code: str) -> bool:
        """Store a secret if `code` shows that the app has it; return whether it is stored.

        Not while another is: who has only the password must not put an app of their own in its
        place.
        """
        now_s = self._clock()
        step = find_step(secret, code, now_s=now_s)
        if step is None:
            return False
        row = (self._sealer.seal(secret.encode(), purpose=_STORED), step, int(now_s))

        def add() -> bool:
            self._db.run(_ADD, row)
            return self._db.changes > 0

        return await write(self._db, add)

    async def check(self, code: str) -> bool:
        """Use a code up; return whether it was right. Raises `TooManyWrongCodes`."""
        return await write(self._db, lambda: self._take(code))

    async def remove(self) -> None:
        """Ask for no code any more. May be repeated."""
        await write(self._db, lambda: self._db.run(_REMOVE))

    def _take(self, code: str) -> bool:
        row = self._db.one("SELECT secret, lastStep, wrong, wrongUntil FROM holdfast_admin_factor")
        if row is None:
            return False
        sealed, last_step, wrong, wrong_until = row
        now_s = int(self._clock())
        if now_s >= wrong_until:
            wrong, wrong_until = 0, now_s + _DAY_S
        elif wrong >= WRONG_A_DAY:
            raise TooManyWrongCodes
        secret = self._sealer.open(bytes(sealed), purpose=_STORED)
        if secret is None:
            _log.error(
                "the administrator's app was set up with another PDS_JWT_SECRET",
                remedy="Run `pds admin reset-second-factor`, and set the app up again.",
            )
            return False
        step = find_step(secret.decode(), code, now_s=now_s, after=last_step)
        if step is None:
            self._db.run(
                "UPDATE holdfast_admin_factor SET wrong = ?, wrongUntil = ?",
                (wrong + 1, wrong_until),
            )
            return False
        self._db.run("UPDATE holdfast_admin_factor SET lastStep = ?", (step,))
        return True


def reset(db: Database) -> bool:
    """Remove the app in a database that may lack the table; return whether there was one."""
    if not db.connection.table_exists("main", "holdfast_admin_factor"):
        return False
    with db.transaction():
        db.run(_REMOVE)
        return db.changes > 0
