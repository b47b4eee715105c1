"""Whether the last run of the server ended in order: a table of our own beside the event log."""

from __future__ import annotations

from typing import Final

from database.connection import BUSY_TIMEOUT_MS, Database

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  running INTEGER NOT NULL,
  latestSeq INTEGER NOT NULL
) STRICT
"""
_SAVE: Final = (
    "INSERT INTO holdfast_run (id, running, latestSeq) VALUES (1, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET running = excluded.running, latestSeq = excluded.latestSeq"
)


class RunState:
    """The flag that is set while the server runs. Blocks for the lock: used at start and stop."""

    was_unclean: bool
    """Whether the run before this one left its data unchecked. Fixed when the log is opened."""

    def __init__(self, db: Database, latest_seq: int) -> None:
        """Read what the last run left; `latest_seq` is where the log stands now."""
        self._db = db
        db.run(_SCHEMA)
        row = db.one("SELECT running, latestSeq FROM holdfast_run WHERE id = 1")
        # A log that moved since the flag was written was moved by the reference PDS, which
        # does not say how it ended.
        self.was_unclean = row != (0, latest_seq) if row else latest_seq > 0

    def mark_running(self, latest_seq: int) -> None:
        """Set the flag, and do not return before it is on the disk."""
        synchronous = self._db.value("PRAGMA synchronous")
        # A flag that is lost with the power would hide exactly the losses it is there to tell.
        self._db.run("PRAGMA synchronous = FULL")
        try:
            self._save(running=True, latest_seq=latest_seq)
        finally:
            self._db.run(f"PRAGMA synchronous = {synchronous}")

    def mark_stopped(self, latest_seq: int) -> None:
        """Take the flag back, as the last thing of an orderly stop."""
        self._save(running=False, latest_seq=latest_seq)

    def _save(self, *, running: bool, latest_seq: int) -> None:
        self._db.connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        try:
            self._db.run(_SAVE, (int(running), latest_seq))
        finally:
            self._db.connection.set_busy_timeout(0)
