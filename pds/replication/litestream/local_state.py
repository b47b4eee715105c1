"""Litestream's own files beside a database: `.<name>-litestream/ltx/<level>/<txids>.ltx`.

The newest file of level 0 tells Litestream how far it has read the WAL. Older ones are only of use
until they are uploaded. All of this can be deleted while the database is not registered: at the
next sync, Litestream fetches the newest file from the replica and goes on from there or, if the WAL
does not continue it, uploads the whole database.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

_SUFFIX: Final = ".ltx"
_NAME_LENGTH: Final = len("0000000000000001-0000000000000001.ltx")


def state_directory(database: Path) -> Path:
    """Return the directory of Litestream's files of a database."""
    return database.with_name(f".{database.name}-litestream")


def newest_file(database: Path) -> Path | None:
    """Return the file that tells where Litestream goes on; None if there is none."""
    return next(reversed(_level_zero(database)), None)


def prune(database: Path, *, before_txid: int) -> int:
    """Delete uploaded files that end before a txid, but for the newest; return how many.

    May be called while the database is registered, with the txid that has reached the replica.
    Raises `OSError` of the disk.
    """
    files = _level_zero(database)
    pruned = 0
    for path in files[:-1]:
        if int(path.name[17:33], 16) < before_txid:
            path.unlink(missing_ok=True)
            pruned += 1
    return pruned


def reset(database: Path) -> None:
    """Delete all of it, because it is damaged. The database must not be registered.

    Raises `OSError` of the disk.
    """
    with suppress(FileNotFoundError):
        shutil.rmtree(state_directory(database) / "ltx")


def _level_zero(database: Path) -> list[Path]:
    """Return the files of level 0, oldest first."""
    try:
        found = [
            path
            for path in (state_directory(database) / "ltx" / "0").iterdir()
            if path.suffix == _SUFFIX and len(path.name) == _NAME_LENGTH
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)
