"""The table `holdfast_crawl`: hosts that were asked to crawl this server, and their answers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.administration.noting import note

KEPT: Final = 200
"""Hosts; those asked longest ago are dropped."""
_REASON_CHARACTERS: Final = 300
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_crawl (
  url TEXT PRIMARY KEY,
  askedAt TEXT NOT NULL,
  acceptedAt TEXT,
  reason TEXT NOT NULL
) STRICT, WITHOUT ROWID
"""
_SAVE: Final = (
    "INSERT INTO holdfast_crawl (url, askedAt, acceptedAt, reason) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (url) DO UPDATE SET askedAt = excluded.askedAt, reason = excluded.reason,"
    " acceptedAt = coalesce(excluded.acceptedAt, acceptedAt)"
)
_DROP: Final = (
    "DELETE FROM holdfast_crawl WHERE url IN"
    " (SELECT url FROM holdfast_crawl ORDER BY askedAt DESC LIMIT -1 OFFSET ?)"
)


@dataclass(slots=True, frozen=True)
class AskedHost:
    """A host, and what it has answered. Times are ISO 8601 with milliseconds."""

    url: str
    is_configured: bool
    """Whether it hears of new events without being asked for."""
    asked_at: str | None = None
    """None if it was never asked."""
    accepted_at: str | None = None
    reason: str = ""
    """Why it did not accept the last request; empty if it did."""


class CrawlLog:
    """Writes and reads the table."""

    def __init__(
        self, db: Database, configured: Iterable[str], *, clock: Clock = time.time
    ) -> None:
        """Create the table if necessary. `configured` are the URLs in the settings."""
        self._db = db
        self._clock = clock
        self._configured = tuple(dict.fromkeys(configured))
        db.run(_SCHEMA)

    async def note(self, url: str, reason: str) -> None:
        """Write the answer of a host; `reason` is empty if it accepted. See `noting`."""
        at = iso_of(self._clock())
        row = (url, at, None if reason else at, reason[:_REASON_CHARACTERS])
        await note(self._db, (_SAVE, row), (_DROP, (KEPT,)), what=f"the answer of {url}")

    def hosts(self) -> list[AskedHost]:
        """Return all hosts: those of the settings first, then the last asked."""
        rows = self._db.all(
            "SELECT url, askedAt, acceptedAt, reason FROM holdfast_crawl ORDER BY askedAt DESC, url"
        )
        asked = {
            url: AskedHost(url, url in self._configured, at, accepted_at, reason)
            for url, at, accepted_at, reason in rows
        }
        first = [asked.pop(url, AskedHost(url, True)) for url in self._configured]
        return [*first, *asked.values()]
