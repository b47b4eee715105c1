"""Whether Litestream finds all changes that were made while it did not have a database open.

Litestream goes on where its newest file of level 0 ends. If the WAL has begun anew since, but still
has the frame at which it stopped, it takes that for a checkpoint of its own, after which nothing
can have been missed. But when the database was not registered, or the daemon had been killed,
another process may have written more, made the checkpoint, and begun the WAL anew. What it wrote in
between would be missing from the replica for ever, and the restored database be corrupt. A server
with `PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT` makes no such checkpoints; others do.

Emptying the WAL makes Litestream send the whole database.
"""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path
from typing import Final

from database.errors import DatabaseBusy, DatabaseDamaged, DatabaseError
from database.opening import open_database
from database.wal import wal_path
from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.local_state import newest_file, reset
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import HEADER_BYTES, Header, decode_header

_WAL_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_SALTS: Final = struct.Struct(">II")
_SALTS_IN_WAL: Final = 16
_SALTS_IN_FRAME: Final = 8
_WAIT_MS: Final = 5_000
"""How long readers and writers are waited for."""

TO_SEND_ANEW: Final = frozenset({Trouble.DATABASE_REPLACED, Trouble.LOCAL_STATE_DAMAGED})
"""Troubles after which the next sync has to send the whole database."""


def ensure_continuity(database: Path, *, anew: bool = False) -> bool:
    """Call this before a database is registered; return whether all of it will be sent.

    `anew` demands that, and forgets what Litestream knows of the database.

    Waits for the disk, in rare cases for seconds. Raises `LitestreamFailed` if the WAL cannot be
    emptied now, and `OSError`.
    """
    if anew:
        # Without its files, Litestream asks the replica where it has stopped, and goes on from
        # there if the WAL does. So that alone is not enough.
        reset(database)
    elif not _may_miss_changes(database):
        return False
    if not _empty_wal(database):
        raise LitestreamFailed(
            f"the WAL of {database} cannot be emptied, because it is in use all the time",
            Trouble.DATABASE_BUSY,
        )
    return True


def _empty_wal(database: Path) -> bool:
    """Let Litestream send the whole database, whatever it knows; return whether it will."""
    try:
        with closing(
            open_database(database, create=False, wal_autocheckpoint=None, busy_timeout_ms=_WAIT_MS)
        ) as db:
            # A connection does not notice the WAL until its first read.
            db.value("PRAGMA schema_version")
            return bool(db.value("PRAGMA wal_checkpoint(TRUNCATE)") == 0)
    except DatabaseBusy:
        return False
    except DatabaseError as exc:
        trouble = Trouble.DATABASE_DAMAGED if isinstance(exc, DatabaseDamaged) else Trouble.OTHER
        raise LitestreamFailed(f"the WAL of {database} cannot be emptied: {exc}", trouble) from exc


def _may_miss_changes(database: Path) -> bool:
    wal = wal_path(database)
    newest = newest_file(database)
    header = None if newest is None else _read_header(newest)
    if header is None:
        return False
    now = _read_salts(wal, _SALTS_IN_WAL)
    stopped_at = (header.wal_salt1, header.wal_salt2)
    last_frame = header.wal_offset + header.wal_bytes - header.page_bytes - _FRAME_HEADER_BYTES
    # Without a WAL, or with one that no longer has the frame, Litestream sends everything.
    return (
        now is not None
        and now != stopped_at
        and last_frame >= _WAL_HEADER_BYTES
        and _read_salts(wal, last_frame + _SALTS_IN_FRAME) == stopped_at
    )


def _read_header(path: Path) -> Header | None:
    """Return the header of a local file; None for a damaged one, which Litestream notices."""
    try:
        with path.open("rb") as file:
            return decode_header(file.read(HEADER_BYTES), str(path))
    except (OSError, DamagedLtx):
        return None


def _read_salts(path: Path, offset: int) -> tuple[int, int] | None:
    """Return the two salts at a place of a WAL; None if it does not reach there."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(_SALTS.size)
    except OSError:
        return None
    if len(data) < _SALTS.size:
        return None
    first, second = _SALTS.unpack(data)
    return first, second
