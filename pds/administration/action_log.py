"""The table `holdfast_admin_log`: what administrators did, newest entries kept.

It names accounts by DID and handle, and has neither passwords nor e-mail addresses. Entries about
an account outlive it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.administration.noting import note

KEPT: Final = 20_000
"""Entries; older ones are dropped."""
_TEXT_CHARACTERS: Final = 500
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_admin_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL,
  address TEXT NOT NULL,
  via TEXT NOT NULL
) STRICT
"""
_ADD: Final = (
    "INSERT INTO holdfast_admin_log (at, action, subject, detail, address, via)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_PAGE: Final = (
    "SELECT id, at, action, subject, detail, address, via FROM holdfast_admin_log"
    " WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
)
_DROP: Final = (
    "DELETE FROM holdfast_admin_log WHERE id <= (SELECT max(id) FROM holdfast_admin_log) - ?"
)
_ABOUT: Final = (
    "SELECT id, at, action, subject, detail, address, via FROM holdfast_admin_log"
    " WHERE subject = ? ORDER BY id DESC LIMIT ?"
)


@dataclass(slots=True, frozen=True)
class AdminAction:
    """One thing that an administrator did."""

    id: int
    at: str
    """ISO 8601 with milliseconds."""
    action: str
    """What was done: the NSID of the method that does the same, or a name of ours."""
    subject: str
    """What it was done to; a DID, a code or a host, or empty."""
    detail: str
    address: str
    """The address of the administrator's machine."""
    via: str
    """`pages` or `api`."""


class ActionLog:
    """Writes and reads entries."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        """Create the table if necessary."""
        self._db = db
        self._clock = clock
        db.script(
            f"{_SCHEMA};"
            "CREATE INDEX IF NOT EXISTS holdfast_admin_log_subject"
            " ON holdfast_admin_log (subject, id);"
        )

    async def note(
        self, action: str, subject: str = "", detail: str = "", *, address: str, via: str = "pages"
    ) -> None:
        """Write an entry. See `noting`."""
        texts = tuple(_shortened(text) for text in (action, subject, detail, address))
        row = (iso_of(self._clock()), *texts, via)
        await note(self._db, (_ADD, row), (_DROP, (KEPT,)), what=" ".join(texts))

    def page(self, *, limit: int, before: int | None = None) -> list[AdminAction]:
        """Return entries older than the one with the id `before`, newest first."""
        return [AdminAction(*row) for row in self._db.all(_PAGE, (before, limit))]

    def about(self, subject: str, *, limit: int) -> list[AdminAction]:
        """Return the newest entries about a subject."""
        return [AdminAction(*row) for row in self._db.all(_ABOUT, (subject, limit))]


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_CHARACTERS else f"{text[: _TEXT_CHARACTERS - 1]}…"
