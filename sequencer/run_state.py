"""Whether the last run of the server stopped cleanly, in tables of our own beside the event log.

These tables also prevent a seq from being assigned twice. A power failure may undo events that
consumers have already seen, so seqs are reserved durably, in blocks, before events get them. After
an unclean stop, the log continues after the reserved seqs.

The whole directory may be an older copy, with no trace of the seqs assigned since. Their number
is bounded by the clock: at most `SEQS_A_MS` for each millisecond since the newest time in the log.
Every start skips that many. A log last used by the reference PDS continues without a gap, as it
would there.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.connection import Database
from database.opening import BUSY_TIMEOUT_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESERVED_SEQS: Final = 10_000
"""Seqs reserved at once: one fsync per this many events, and a gap of at most this after a crash.
"""
SEQS_A_MS: Final = 100
"""More seqs per millisecond than any server uses, even at ten thousand events a second or with ten
crashes in one. The seqs below 2^53 last for 2,800 years of standing still."""
MAX_RAISED_SEQ: Final = 1 << 52
"""The limit to which a start or an operator may raise the log, whatever the clock says. Half of the
integers that JSON and JavaScript represent exactly remain for future events."""

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


def mark_as_copy(db: Database) -> None:
    """Record in a restored log that events and commits may be lost, whatever its last run says.

    Consumers may have seen some that neither the log nor the stores have. The next start makes up
    for that as after a power failure. Waits for the disk. Raises `DatabaseError`.
    """
    db.script(_SCHEMA)
    with db.transaction():
        db.run(
            "INSERT INTO holdfast_run (id, running, latestSeq) VALUES (1, 1, 0)"
            " ON CONFLICT (id) DO UPDATE SET running = 1"
        )
        db.run("UPDATE holdfast_reserved SET bootId = ''")


def possible_seqs(*, since_ms: int, now_ms: int) -> int:
    """Return how many seqs a server may have assigned between two times (ms since the epoch)."""
    return max(0, now_ms - since_ms) * SEQS_A_MS


def within_bounds(seq: int) -> int:
    """Limit a seq computed from the clock, which may be centuries ahead."""
    return min(seq, MAX_RAISED_SEQ)


class RunState:
    """The flag set while the server runs, and the reserved seqs.

    Waits for the file's lock at start and stop; `reserve` does not.
    """

    was_unclean: bool
    """Whether the previous run left its data unchecked. Fixed when the log is opened."""
    power_may_have_failed: bool
    """Whether our last run was cut off and the machine restarted since, so writes may be lost."""
    last_run_id: str
    """The id of the previous run; empty if there was none."""
    run_id: str
    """The id of this run; replaced by another at a clean stop. Other files record it, too, which
    reveals that one of them was restored from an older copy."""

    def __init__(self, db: Database, latest_seq: int) -> None:
        """Read the state left by the last run; `latest_seq` is the log's current seq."""
        self._db = db
        db.script(_SCHEMA)
        row = db.one("SELECT running, latestSeq FROM holdfast_run WHERE id = 1")
        # If the log has advanced since the flag was written, the reference PDS advanced it, which
        # does not record how it stopped.
        self.was_unclean = row != (0, latest_seq) if row else latest_seq > 0
        # All seqs we assigned are in the log, so it may continue where the reference stopped.
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
        """The highest seq that this run may assign so far."""
        return self._reserved

    def highest_seq(self, *, newest_ms: int, now_ms: int) -> int:
        """Return the highest seq that this log, or a newer copy of it, may have assigned.

        Returns 0 if the log itself is reliable. `newest_ms` is the time of its newest event, 0
        without one; both times are milliseconds since the Unix epoch.
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
        """Set the flag and reserve seqs, durably.

        Raises `DatabaseError`; after a failure, `reserve` retries it first until it succeeds.
        """
        self._is_to_run = True
        with self._waiting():
            self._start(latest_seq)

    def mark_recovered(self) -> None:
        """Record that recovery from an unclean stop is complete, as far as possible.

        `was_unclean` does not change.
        """
        if self._boot_id != self._this_boot_id:
            self._boot_id = self._this_boot_id
            with self._waiting():
                self._save_reserved(self._reserved)

    def rename(self) -> None:
        """Assign the id that the run has once stopped; copies made until now do not have it."""
        self.run_id = _new_id()

    def mark_stopped(self, latest_seq: int, *, now_ms: int) -> None:
        """Clear the flag, as the last step of a clean stop."""
        with self._waiting(), self._db.transaction():
            self._db.run(_SAVE_STOP, (now_ms,))
            self._db.run(_SAVE_RUN_ID, (self.run_id,))
            self._save(running=False, latest_seq=latest_seq)

    def reserve(self, seq: int) -> None:
        """Ensure that no later run assigns `seq`, if this run is marked as running.

        Occasionally waits for the disk, but never for a lock: raises `DatabaseBusy` instead.
        """
        if self._is_to_run and not self._running:
            self._start(seq - 1)
        if seq > self._reserved and self._running:
            self._save_reserved(self._needed(seq))
            if self.on_reserve is not None:
                self.on_reserve()

    def _start(self, latest_seq: int) -> None:
        # A flag lost in a power failure would hide the very losses that it should reveal.
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
    """Return the id of the machine's current boot; empty if the system provides none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
