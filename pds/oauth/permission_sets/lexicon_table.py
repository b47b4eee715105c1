"""The table `lexicon`, as the reference has it: Lexicons that were found, or could not be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from database.connection import Database
from database.timestamps import epoch_s_of, iso_of

FRESH_S: Final = 5 * 60
"""How long a Lexicon, or a failure to find it, is used before it is looked for again."""
MAX_FOUND: Final = 1_000
"""Lexicons kept, so that nobody fills the disk with sets of their own."""
MAX_FAILED: Final = 1_000
"""Failures kept. They do not displace what was found."""

_DROP: Final = """
    DELETE FROM lexicon WHERE nsid IN (
        SELECT nsid FROM lexicon WHERE lexicon IS {} ORDER BY updatedAt DESC, nsid
        LIMIT -1 OFFSET ?
    )
"""


@dataclass(slots=True, frozen=True)
class StoredLexicon:
    """A row: the last attempt, and what the last success has found."""

    updated_at_s: float
    """When it was last looked for."""
    document: dict[str, Any] | None
    """None if it has never been found."""

    def is_fresh(self, now_s: float) -> bool:
        """Whether it need not be looked for again yet."""
        return now_s - self.updated_at_s < FRESH_S


class LexiconTable:
    """Reads and writes the rows. The writing methods must be called inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(self, nsid: str) -> StoredLexicon | None:
        """Return the row of a Lexicon, or None."""
        row = self._db.one("SELECT updatedAt, lexicon FROM lexicon WHERE nsid = ?", (nsid,))
        if row is None:
            return None
        return StoredLexicon(epoch_s_of(row[0]), None if row[1] is None else orjson.loads(row[1]))

    def note_found(self, nsid: str, uri: str, document: dict[str, Any], now_s: float) -> None:
        """Store a Lexicon that was found, and drop the rows that were not needed for longest."""
        now = iso_of(now_s)
        self._db.run(
            """
            INSERT INTO lexicon (nsid, createdAt, updatedAt, lastSucceededAt, uri, lexicon)
            VALUES (?1, ?2, ?2, ?2, ?3, ?4)
            ON CONFLICT (nsid) DO UPDATE SET updatedAt = excluded.updatedAt,
            lastSucceededAt = excluded.lastSucceededAt, uri = excluded.uri,
            lexicon = excluded.lexicon
            """,
            (nsid, now, uri, orjson.dumps(document).decode()),
        )
        self._tidy(now_s)

    def note_failed(self, nsid: str, now_s: float) -> None:
        """Note that a Lexicon could not be found now; what was found before stays."""
        self._db.run(
            """
            INSERT INTO lexicon (nsid, createdAt, updatedAt) VALUES (?1, ?2, ?2)
            ON CONFLICT (nsid) DO UPDATE SET updatedAt = excluded.updatedAt
            """,
            (nsid, iso_of(now_s)),
        )
        self._tidy(now_s)

    def _tidy(self, now_s: float) -> None:
        self._db.run(
            "DELETE FROM lexicon WHERE lexicon IS NULL AND updatedAt < ?",
            (iso_of(now_s - FRESH_S),),
        )
        self._db.run(_DROP.format("NOT NULL"), (MAX_FOUND,))
        self._db.run(_DROP.format("NULL"), (MAX_FAILED,))
