"""The table `holdfast_mail`: which mails were sent, and which were not, and why.

Addresses are stored without what is before the @ but its first letter: enough to see which
provider refuses mails, and too little to be a copy of people's addresses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.administration.noting import note
from pds.mail.mailer import MailOutcome

KEPT: Final = 5_000
"""Mails; older ones are dropped."""
KEPT_S: Final = 30 * 24 * 60 * 60
_TEXT_CHARACTERS: Final = 300
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_mail (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  recipient TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL
) STRICT
"""
_ADD: Final = (
    "INSERT INTO holdfast_mail (at, recipient, subject, state, reason) VALUES (?, ?, ?, ?, ?)"
)
_PAGE: Final = (
    "SELECT id, at, recipient, subject, state, reason FROM holdfast_mail"
    " WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR state = ?2) ORDER BY id DESC LIMIT ?3"
)
# Some old ones at a time, so that no transaction takes long.
_DROP: Final = (
    "DELETE FROM holdfast_mail WHERE id <= (SELECT max(id) FROM holdfast_mail) - ?"
    " OR (id <= (SELECT min(id) FROM holdfast_mail) + 500 AND at < ?)"
)
_COUNTS: Final = "SELECT state, count(*) FROM holdfast_mail WHERE at > ? GROUP BY state"


@dataclass(slots=True, frozen=True)
class LoggedMail:
    """A mail that the server was to send."""

    id: int
    at: str
    """ISO 8601 with milliseconds."""
    recipient: str
    """Such as `a…@example.com`."""
    subject: str
    state: str
    """`sent`, `failed`, or `unsent` without a mail server."""
    reason: str
    """Why it failed; else empty."""


class MailLog:
    """Writes and reads the table."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        """Create the table if necessary."""
        self._db = db
        self._clock = clock
        db.run(_SCHEMA)

    async def note(self, outcome: MailOutcome) -> None:
        """Write an entry. See `noting`."""
        now_s = self._clock()
        row = (
            iso_of(now_s),
            _masked(outcome.mail.to),
            outcome.mail.subject[:_TEXT_CHARACTERS],
            outcome.state,
            # Mail servers like to repeat the address.
            outcome.reason.replace(outcome.mail.to, _masked(outcome.mail.to))[:_TEXT_CHARACTERS],
        )
        drop = (_DROP, (KEPT, iso_of(now_s - KEPT_S)))
        await note(self._db, (_ADD, row), drop, what=f"a mail to {_masked(outcome.mail.to)}")

    def page(
        self, *, limit: int, before: int | None = None, state: str | None = None
    ) -> list[LoggedMail]:
        """Return mails older than the one with the id `before`, newest first; of one `state`."""
        rows: list[tuple[Any, ...]] = self._db.all(_PAGE, (before, state, limit))
        return [LoggedMail(*row) for row in rows]

    def counts(self, *, seconds: float) -> dict[str, int]:
        """Return the number of mails of the last `seconds`, by state."""
        return dict(self._db.all(_COUNTS, (iso_of(self._clock() - seconds),)))


def _masked(address: str) -> str:
    name, at, domain = address[:_TEXT_CHARACTERS].rpartition("@")
    return f"{name[:1]}…{at}{domain}"
