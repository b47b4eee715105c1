"""What a power failure leaves of SQLite files, and older files put in place of newer ones."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from random import Random

import apsw

from database.opening import open_database

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_SERVICES = ("account.sqlite", "sequencer.sqlite")


def wal_sizes(data: Path) -> dict[Path, int]:
    """How long each WAL of the server is; the PLC directory is another machine's."""
    wals = [*data.glob("actors/*/*/*-wal"), *(data / f"{name}-wal" for name in _SERVICES)]
    return {wal: wal.stat().st_size for wal in wals if wal.exists()}


def cut_power(data: Path, synced: dict[Path, int], random: Random) -> None:
    """Take back what was written to the WALs since `synced`, each from some point on.

    The file ends there, in the middle of a frame perhaps, or goes on with noise or zeros: pages
    that were not written, though later ones were.
    """
    for wal, size in wal_sizes(data).items():
        at = _some_frame(wal, synced.get(wal, 0), random)
        rest = size - at
        if rest <= 0:
            continue
        torn = random.choice([b"", random.randbytes(rest), bytes(rest), wal.read_bytes()[at:][:99]])
        with wal.open("rb+") as file:
            file.seek(at)
            file.truncate()
            file.write(torn)


def restart_machine(data: Path) -> None:
    """Let the next start believe that the machine has been started anew."""
    with closing(open_database(data / "sequencer.sqlite", create=False)) as db:
        db.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.run("UPDATE holdfast_reserved SET bootId = 'the one before'")


def keep(database: Path, directory: Path) -> None:
    """Put a copy of a database and its WAL aside."""
    directory.mkdir(exist_ok=True)
    for path in database.parent.glob(f"{database.name}*"):
        if not path.name.endswith("-shm"):
            shutil.copy(path, directory)


def put_back(database: Path, directory: Path) -> None:
    """Replace a database by the copy that was put aside."""
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    for path in directory.glob(f"{database.name}*"):
        shutil.copy(path, database.parent)


def _some_frame(wal: Path, at_least: int, random: Random) -> int:
    """The offset of a frame, or of the end of the last one, that is not before `at_least`."""
    with wal.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        return 0
    frame = _FRAME_HEADER_BYTES + int.from_bytes(header[8:12])
    count = (wal.stat().st_size - _HEADER_BYTES) // frame
    first = max(0, -(-(at_least - _HEADER_BYTES) // frame))
    return _HEADER_BYTES + frame * random.randint(min(first, count), count)
