"""Reading stats: what the records say, and what is counted and in no record yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pds.hold.records import published_stats_rkey, stats_rkey
from pds.hold.stats.counting import Counts
from pds.hold.stats.journal import Pair, StatsJournal
from pds.hold.stats_record import NOTHING, StatsRecord, Totals

if TYPE_CHECKING:
    from database.connection import Database
    from pds.hold.repo_index import RepoIndex

_MAX_RECORDS: Final = 100
"""Records about one pair that are looked at."""
_REPOSITORIES: Final = " UNION ".join(
    f"SELECT repository FROM {table} WHERE did = ?1 AND repository > ?2"
    for table in ("stat", "count", "writing")
)


class StatsReader:
    """Answers how many pulls and pushes there were, including those of this second."""

    def __init__(
        self, db: Database, index: RepoIndex, journal: StatsJournal, counts: Counts
    ) -> None:
        self._db = db
        self._index = index
        self._journal = journal
        self._counts = counts

    async def of(self, did: str, repository: str) -> Totals:
        """Return the totals of a repository of images; zeros if nothing was counted."""
        await self._index.follow()
        return self._of(Pair(did, repository))

    async def list(self, did: str, *, limit: int, cursor: str | None = None) -> list[StatsRecord]:
        """Return the stats of an owner by repository; `cursor` is the last one the caller saw."""
        await self._index.follow()
        after = cursor or ""
        rows = self._db.all(
            f"SELECT repository FROM ({_REPOSITORIES}) ORDER BY repository LIMIT ?3",
            (did, after, limit),
        )
        counted = {each for each in self._counts.repositories(did) if each > after}
        names = sorted({name for (name,) in rows} | counted)[:limit]
        return [StatsRecord(did, name, self._of(Pair(did, name))) for name in names]

    def _of(self, pair: Pair) -> Totals:
        written = self._journal.find_staged(pair)
        if written is None:
            found = find_record(self._db, pair)
            written = NOTHING if found is None else found[1]
        return written + self._journal.counted(pair) + self._counts.of(pair)


def find_record(db: Database, pair: Pair) -> tuple[str, Totals] | None:
    """Return the key and the totals of the record about a pair, found by its fields.

    If there are several, it is the one under the key that this server writes, or else under the
    published key. Their counts are not added: nobody knows which of them include the others.
    """
    rows = db.all(
        "SELECT rkey, pulls, pushes, lastPull, lastPush FROM stat"
        " WHERE did = ? AND repository = ? ORDER BY rkey LIMIT ?",
        (*pair, _MAX_RECORDS),
    )
    found = {rkey: Totals(*totals) for rkey, *totals in rows}
    for rkey in (stats_rkey(*pair), published_stats_rkey(*pair), *found):
        if rkey in found:
            return rkey, found[rkey]
    return None
