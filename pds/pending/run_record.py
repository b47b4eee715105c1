"""The run of the server that wrote to the service database last, to be compared with the log's.

Each run has an id, kept in both files and in one beside them, and gets another one when it ends in
order. Where they differ, one of the three has been put back to an older state, as from a backup,
and says of itself that all was in order then; or the copy was made while the server ran.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from database.errors import DatabaseError
from database.files import try_to_replace
from database.retry import write
from database.wal import sync_wal
from sequencer.run_state import possible_seqs, within_bounds

if TYPE_CHECKING:
    from pathlib import Path

    from database.connection import Database
    from sequencer.sequencer import Sequencer

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  runId TEXT NOT NULL,
  reservedSeq INTEGER NOT NULL
) STRICT
"""
_SAVE: Final = "INSERT OR REPLACE INTO holdfast_run (id, runId, reservedSeq) VALUES (1, ?, ?)"


def join_run(db: Database, sequencer: Sequencer, marker: Path, *, known_ms: int) -> bool:
    """Enter the run of `sequencer`; whether the last run of all three files was the same.

    If not, the log goes on behind every seq that may have been given out by what the service
    database knows, which was current at `known_ms`, in milliseconds since the Unix epoch.
    `marker` is the file beside the databases. Only at start: it waits for the disk. Raises
    `DatabaseError`.
    """
    db.run(_SCHEMA)
    last_run_id, reserved_seq = db.one("SELECT runId, reservedSeq FROM holdfast_run") or ("", 0)
    others = {last_run_id, _read(marker)} - {""}
    is_same = others <= {sequencer.run.last_run_id}
    if not is_same:
        later = possible_seqs(since_ms=known_ms, now_ms=sequencer.now_ms()) if known_ms else 0
        sequencer.skip_to(within_bounds(reserved_seq + later))
    db.run(_SAVE, (sequencer.run.run_id, sequencer.run.reserved_seq))
    sync_wal(db.path)
    _write(marker, sequencer.run.run_id)

    def note_reserved() -> None:
        with suppress(DatabaseError):  # There will be a next time.
            db.run("UPDATE holdfast_run SET reservedSeq = ?", (sequencer.run.reserved_seq,))

    sequencer.run.on_reserve = note_reserved
    return is_same


async def end_run(db: Database, sequencer: Sequencer, marker: Path) -> None:
    """Mark the run as ended in order, in the log last of all. Raises `DatabaseError`."""
    sequencer.run.rename()
    await write(db, lambda: db.run("UPDATE holdfast_run SET runId = ?", (sequencer.run.run_id,)))
    _write(marker, sequencer.run.run_id)
    sequencer.mark_stopped()


def _read(marker: Path) -> str:
    """The id in the file; empty if that is not there, or was cut off with the power."""
    try:
        return marker.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _write(marker: Path, run_id: str) -> None:
    # Where the disk is full, the next start compares what it need not.
    try_to_replace(marker, f"{run_id}\n")
