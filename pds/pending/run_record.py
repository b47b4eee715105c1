"""The id of the last run that wrote to the service database, to compare with that of the log.

Each run has an id, stored in both databases and in a file beside them, and replaced on a clean
stop. If they differ, one of the three has been restored to an older state, for example from a
backup, and claims a clean stop of that time; or the copy was made while the server ran.
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
    """Record the run of `sequencer`; return whether the last run of all three files was the same.

    If not, the log continues above every seq that may have been used according to the service
    database, which was current at `known_ms`, in milliseconds since the Unix epoch. `marker` is the
    file beside the databases. Call it only at start, because it blocks on the disk. Raises
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
        with suppress(DatabaseError):  # The next reservation writes it again.
            db.run("UPDATE holdfast_run SET reservedSeq = ?", (sequencer.run.reserved_seq,))

    sequencer.run.on_reserve = note_reserved
    return is_same


async def end_run(db: Database, sequencer: Sequencer, marker: Path) -> None:
    """Mark the run as cleanly stopped, in the log last. Raises `DatabaseError`."""
    sequencer.run.rename()
    await write(db, lambda: db.run("UPDATE holdfast_run SET runId = ?", (sequencer.run.run_id,)))
    _write(marker, sequencer.run.run_id)
    sequencer.mark_stopped()


def _read(marker: Path) -> str:
    """Return the id in the file; empty if it is missing, or truncated by a power failure."""
    try:
        return marker.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _write(marker: Path, run_id: str) -> None:
    # Failures are ignored: after a full disk, the next start only compares more than it needs to.
    try_to_replace(marker, f"{run_id}\n")
