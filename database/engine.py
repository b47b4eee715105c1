"""The SQLite library that this process runs with: that of apsw's wheels, or the system's."""

from __future__ import annotations

from typing import Final

import apsw

FIRST_SAFE: Final = (3, 51, 3)
"""Before it two connections that write and checkpoint at the same moment can corrupt a database
(https://sqlite.org/wal.html#walresetbug), as a server and Litestream do.
"""
ENGINE_REMEDY: Final = (
    "Install apsw's wheel, which brings an SQLite of its own: "
    "pip install --force-reinstall --only-binary :all: 'apsw>=3.51.3'"
)


def running_version() -> str:
    """The version of SQLite that is loaded, which need not be that apsw was made for."""
    return str(apsw.sqlite_lib_version())


def find_engine_fault(version: str) -> str | None:
    """What is wrong with an SQLite of this version; None if nothing is."""
    if tuple(map(int, version.split(".")[:3])) >= FIRST_SAFE:
        return None
    first = ".".join(map(str, FIRST_SAFE))
    return (
        f"SQLite {version} can corrupt a database that two processes use; "
        f"{first} is the first that does not"
    )
