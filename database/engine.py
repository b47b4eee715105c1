"""The SQLite library of this process: from apsw's wheel, or the system's."""

from __future__ import annotations

from typing import Final

import apsw

FIRST_SAFE: Final = (3, 51, 3)
"""In older versions, connections that write and checkpoint at the same moment, as a server and
Litestream do, can corrupt a database (https://sqlite.org/wal.html#walresetbug).
"""
ENGINE_REMEDY: Final = (
    "Install apsw's wheel, which brings an SQLite of its own: "
    "pip install --force-reinstall --only-binary :all: 'apsw>=3.51.3'"
)


def running_version() -> str:
    """Return the version of the loaded SQLite, which may differ from the one apsw was built for."""
    return str(apsw.sqlite_lib_version())


def find_engine_fault(version: str) -> str | None:
    """Return what is wrong with this version of SQLite; None if nothing is."""
    if tuple(map(int, version.split(".")[:3])) >= FIRST_SAFE:
        return None
    first = ".".join(map(str, FIRST_SAFE))
    return (
        f"SQLite {version} can corrupt a database that two processes use; "
        f"{first} is the first that does not"
    )
