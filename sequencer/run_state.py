"""Whether the last run of the server ended in order: a table of our own beside the event log.

Tables of ours also keep seqs from being given out twice. A power failure may take events back
that consumers have seen, so seqs are reserved in blocks, durably, before events get them; after an
unclean stop the log goes on behind the reserved ones.

The whole directory may be an older copy, and then nothing in it tells of the seqs given out since.
But the clock does: they are no more than `SEQS_A_MS` allows for the time since the last thing that
the log knows of, so every start leaves out that many. A log that the reference PDS has used last
goes on as there, without a hole.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.connection import BUSY_TIMEOUT_MS, Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESERVED_SEQS: Final = 10_000
"""Seqs reserved at once: one fsync for so many events, and so many left out by a crash."""
SEQS_A_MS: Final = 100
"""More seqs a millisecond than any server gets to, though it makes ten thousand events a second or
crashes ten times in it. Those below 2^53 suffice for 2,800 years of standing still."""
MAX_RAISED_SEQ: Final = 1 << 52
"""No start and no operator raises the log beyond it, whatever the clock says: half of the numbers
that JSON and JavaScript can tell apart stay for the events to come."""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  running INTEGER NOT NULL,
  latestSeq INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holdfast_reserved (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  seq INTEGER NOT NULL,
  bootId TEXT NOT NULL,
  runId TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holdfast_stop (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  atMs INTEGER NOT NULL
) STRICT;
INSERT INTO holdfast_reserved (id, seq, bootId, runId) VALUES (1, 0, '', '') ON CONFLICT DO NOTHING
"""
_SAVE: Final = (
    "INSERT INTO holdfast_run (id, running, latestSeq) VALUES (1, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET running = excluded.running, latestSeq = excluded.latestSeq"
)
_SAVE_RUN_ID: Final = "UPDATE holdfast_reserved SET runId = ?"
_SAVE_STOP: Final = "INSERT OR REPLACE INTO holdfast_stop (id, atMs) VALUES (1, ?)"


def possible_seqs(*, since_ms: int, now_ms: int) -> int:
    """How many seqs a server may have given out in a time, in ms since the Unix epoch."""
    return max(0, now_ms - since_ms) * SEQS_A_MS


def within_bounds(seq: int) -> int:
    """A seq that was reckoned by the clock, which may be centuries ahead."""
    return min(seq, MAX_RAISED_SEQ)


class RunState:
    """The flag that is set while the server runs, and the reserved seqs.

    Waits for the file's lock at start and stop; `reserve` does not.
    """

    was_unclean: bool
    """Whether the run before this one left its data unchecked. Fixed when the log is opened."""
    power_may_have_failed: bool
    """Whether our run was cut off and the machine started anew since, so writes may be lost."""
    last_run_id: str
    """Of the run before this one; empty if there was none."""
    run_id: str
    """Of this run, and another one once it has ended in order. Kept elsewhere, too, it shows that a
    file has been put back to an older one."""

    def __init__(self, db: Database, latest_seq: int) -> None:
        """Read what the last run left; `latest_seq` is where the log stands now."""
        self._db = db
        db.script(_SCHEMA)
        row = db.one("SELECT running, latestSeq FROM holdfast_run WHERE id = 1")
        # A log that moved since the flag was written was moved by the reference PDS, which
        # does not say how it ended.
        self.was_unclean = row != (0, latest_seq) if row else latest_seq > 0
        # What we gave out until then is in the log, so it may go on where the reference left it.
        self._is_of_another = row is None or (row[0] == 0 and latest_seq > row[1])
        self._latest_seq = latest_seq
        self._stopped_at_ms = int(db.value("SELECT atMs FROM holdfast_stop") or 0)
        found = db.one("SELECT seq, bootId, runId FROM holdfast_reserved") or (0, "", "")
        self._reserved: int = found[0]
        self._boot_id: str = found[1]
        self.last_run_id = found[2]
        self.run_id = _new_id()
        self.on_reserve: Callable[[], None] | None = None
        self._this_boot_id = _find_boot_id()
        self._is_to_run = self._running = False
        was_cut_off = row is not None and row[0] == 1
        self.power_may_have_failed = was_cut_off and (
            not self._this_boot_id or self._boot_id != self._this_boot_id
        )

    @property
    def reserved_seq(self) -> int:
        """The highest seq that this run may give out so far."""
        return self._reserved

    def highest_seq(self, *, newest_ms: int, now_ms: int) -> int:
        """The highest seq that this log, or a newer copy of it, may have given out.

        0 if the log tells by itself. `newest_ms` is the time of its newest event, 0 without one;
        both are milliseconds since the Unix epoch.
        """
        if self._is_of_another:
            return 0
        reserved = self._reserved if self.was_unclean else 0
        known_ms = max(newest_ms, self._stopped_at_ms)
        if not known_ms:
            return reserved
        later = possible_seqs(since_ms=known_ms, now_ms=now_ms)
        return max(reserved, within_bounds(self._latest_seq + later))

    def mark_running(self, latest_seq: int) -> None:
        """Set the flag and reserve seqs, and do not return before that is on the disk.

        Raises `DatabaseError`; until it is called again with success, `reserve` tries it first.
        """
        self._is_to_run = True
        with self._waiting():
            self._start(latest_seq)

    def mark_recovered(self) -> None:
        """Note that what an unclean stop may have left is mended, as far as it can be.

        `was_unclean` stays as it is.
        """
        if self._boot_id != self._this_boot_id:
            self._boot_id = self._this_boot_id
            with self._waiting():
                self._save_reserved(self._reserved)

    def rename(self) -> None:
        """Give the run the id of a stopped one, which copies made until now do not have."""
        self.run_id = _new_id()

    def mark_stopped(self, latest_seq: int, *, now_ms: int) -> None:
        """Take the flag back, as the last thing of an orderly stop."""
        with self._waiting(), self._db.transaction():
            self._db.run(_SAVE_STOP, (now_ms,))
            self._db.run(_SAVE_RUN_ID, (self.run_id,))
            self._save(running=False, latest_seq=latest_seq)

    def reserve(self, seq: int) -> None:
        """See to it that no later run gives out `seq`, if this one is marked as running.

        Once in a while that waits for the disk, but never for a lock: raises `DatabaseBusy`.
        """
        if self._is_to_run and not self._running:
            self._start(seq - 1)
        if seq > self._reserved and self._running:
            self._save_reserved(self._needed(seq))
            if self.on_reserve is not None:
                self.on_reserve()

    def _start(self, latest_seq: int) -> None:
        # A flag that is lost with the power would hide exactly the losses it is there to tell.
        with self._durably():
            self._save(running=True, latest_seq=latest_seq)
        self._running = True
        if not self.power_may_have_failed:
            self._boot_id = self._this_boot_id
        self._save_reserved(self._needed(latest_seq + 1))

    def _needed(self, seq: int) -> int:
        return self._reserved if seq <= self._reserved else seq + RESERVED_SEQS

    def _save_reserved(self, seq: int) -> None:
        with self._durably():
            self._db.run(
                "UPDATE holdfast_reserved SET seq = ?, bootId = ?, runId = ?",
                (seq, self._boot_id, self.run_id),
            )
        self._reserved = seq

    def _save(self, *, running: bool, latest_seq: int) -> None:
        self._db.run(_SAVE, (int(running), latest_seq))

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._db.connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            yield
        finally:
            self._db.connection.set_busy_timeout(0)

    @contextmanager
    def _durably(self) -> Iterator[None]:
        synchronous = self._db.value("PRAGMA synchronous")
        self._db.run("PRAGMA synchronous = FULL")
        try:
            yield
        finally:
            self._db.run(f"PRAGMA synchronous = {synchronous}")


def _new_id() -> str:
    return secrets.token_hex(8)


def _find_boot_id() -> str:
    """What tells this start of the machine from others; empty where the system does not say."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
