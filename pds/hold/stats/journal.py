"""The journal of counts in hold.sqlite, which outlives a crash.

A count moves through three places, and each move is one transaction or one commit:

1. `count`: pulls and pushes that are in no record yet.
2. `writing`: those that a commit is about to put into records, with the CID of each record that
   the commit writes and of the one that it replaces.
3. The record itself, whose row in `writing` is then deleted.

After a crash between 2 and 3, the CIDs tell whether the commit was made: a commit is atomic, so one
record with the CID to come means that all were written, and one with the CID from before that none
was. If somebody else has changed every one of them meanwhile, the counts are taken to be written:
losing a few is better than counting them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from database.connection import Database
from pds.hold.stats_record import NOTHING, Totals

_ADD: Final = (
    "INSERT INTO count (did, repository, pulls, pushes, lastPull, lastPush)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " pulls = pulls + excluded.pulls, pushes = pushes + excluded.pushes,"
    " lastPull = nullif(max(coalesce(lastPull, ''), coalesce(excluded.lastPull, '')), ''),"
    " lastPush = nullif(max(coalesce(lastPush, ''), coalesce(excluded.lastPush, '')), '')"
)
_TOTALS: Final = "pulls, pushes, lastPull, lastPush"
_STAGED: Final = f"did, repository, rkey, cid, previousCid, addedPulls, addedPushes, {_TOTALS}"
_KNOWN: Final = (
    "SELECT EXISTS (SELECT 1 FROM stat WHERE did = ?1 AND repository = ?2)"
    " OR EXISTS (SELECT 1 FROM count WHERE did = ?1 AND repository = ?2)"
    " OR EXISTS (SELECT 1 FROM writing WHERE did = ?1 AND repository = ?2)"
)


class Pair(NamedTuple):
    """A repository of images: its owner's DID and its name."""

    did: str
    repository: str


@dataclass(frozen=True, slots=True)
class Staged:
    """A record that a commit is about to write."""

    pair: Pair
    rkey: str
    cid: str
    previous_cid: str | None
    added: Totals
    """The counts that are new in it."""
    totals: Totals
    """What the record will say."""


class StatsJournal:
    """Reads and writes the tables. Writing needs an open transaction of the caller."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, counts: Iterable[tuple[Pair, Totals]]) -> None:
        """Add counts to those that are in no record yet."""
        self._db.many(_ADD, [(*pair, *_columns(totals)) for pair, totals in counts])

    def is_known(self, pair: Pair) -> bool:
        """Whether anything has been counted for a pair, as far as hold.sqlite knows."""
        return bool(self._db.value(_KNOWN, pair))

    def pairs(self, limit: int) -> list[Pair]:
        """Return pairs with counts that are in no record yet."""
        return [
            Pair(*row)
            for row in self._db.all("SELECT did, repository FROM count LIMIT ?", (limit,))
        ]

    def counted(self, pair: Pair) -> Totals:
        """Return the counts of a pair that are in no record yet, nor being written."""
        row = self._db.one(
            f"SELECT {_TOTALS} FROM count WHERE did = ? AND repository = ?",
            pair,
        )
        return NOTHING if row is None else Totals(*row)

    def forget_counts(self, pairs: Sequence[Pair]) -> None:
        """Drop the counts of pairs that are in no record yet."""
        self._db.many("DELETE FROM count WHERE did = ? AND repository = ?", pairs)

    def stage(self, rows: Sequence[Staged]) -> None:
        """Move counts to `writing`: `rows` have all that is counted for their pairs."""
        self._db.many(
            f"INSERT INTO writing ({_STAGED}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(*row.pair, row.rkey, row.cid, row.previous_cid),
                    *(row.added.pulls, row.added.pushes, *_columns(row.totals)),
                )
                for row in rows
            ],
        )
        self.forget_counts([row.pair for row in rows])

    def staged(self) -> list[Staged]:
        """Return what is being written: one commit at most."""
        return [
            Staged(
                Pair(did, repository),
                rkey,
                cid,
                previous,
                Totals(pulls, pushes, *totals[2:]),
                Totals(*totals),
            )
            for did, repository, rkey, cid, previous, pulls, pushes, *totals in self._db.all(
                f"SELECT {_STAGED} FROM writing"
            )
        ]

    def find_staged(self, pair: Pair) -> Totals | None:
        """Return what the record of a pair will say, if it is being written."""
        row = self._db.one(
            f"SELECT {_TOTALS} FROM writing WHERE did = ? AND repository = ?",
            pair,
        )
        return None if row is None else Totals(*row)

    def settle(self, *, committed: bool) -> None:
        """End what is being written: the counts are in the records now, or count again."""
        if not committed:
            self.add([(row.pair, row.added) for row in self.staged()])
        self._db.run("DELETE FROM writing")

    def forget_owner(self, did: str) -> None:
        """Drop everything that is counted for an owner of images and in no record yet."""
        self._db.run("DELETE FROM count WHERE did = ?", (did,))
        self._db.run("DELETE FROM writing WHERE did = ?", (did,))


def was_committed(rows: Sequence[Staged], current: Mapping[str, str | None]) -> bool:
    """Whether the commit that was to write `rows` was made.

    `current` has the CID that each record has now, by its key; None if it does not exist.
    """
    if any(current[row.rkey] == row.cid for row in rows):
        return True
    return all(current[row.rkey] != row.previous_cid for row in rows)


def _columns(totals: Totals) -> tuple[int, int, str | None, str | None]:
    return totals.pulls, totals.pushes, totals.last_pull, totals.last_push
