"""The -wal file beside a database: inspecting it without SQLite, and syncing it.

Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from database.errors import DatabaseDamaged, DatabaseForbidden
from database.files import sync

_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_PAGE_SIZE_AT: Final = 16
"""Offset of the page size in a database's header."""
_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""Magic numbers of a WAL, with the byte order of its checksums."""
_VERSION: Final = 3007000
_UINT32: Final = 0xFFFFFFFF


def files_of(database: Path) -> tuple[Path, Path, Path]:
    """A database, its WAL, and the index of the WAL."""
    return database, wal_path(database), database.with_name(f"{database.name}-shm")


def wal_path(database: Path) -> Path:
    """Return the path of a database's WAL."""
    return database.with_name(f"{database.name}-wal")


def check_wal(database: Path) -> None:
    """Raise `DatabaseDamaged` if there is a -wal file with an invalid header.

    SQLite treats such a file as empty and so would silently drop commits. That is correct only
    for a file cut off within its header, or whose header never reached the disk: it holds no
    commits.
    """
    path = wal_path(database)
    # Check twice, in case the first check coincides with the writing of a new header.
    fault = _fault_of(path) and _fault_of(path)
    if fault:
        raise DatabaseDamaged(path, fault)


def check_length(database: Path) -> None:
    """Raise `DatabaseDamaged` if a page is in neither the database nor its WAL.

    Raises `DatabaseForbidden` if either file is unreadable.

    Without a WAL, SQLite detects this itself. With one, it takes the number of pages from the WAL
    and assumes that a truncated database is yet to grow. Reads the head of every frame: a
    millisecond for a WAL of usual length. Nobody may be writing.
    """
    try:
        with database.open("rb") as file:
            page_bytes = _page_bytes(file.read(_PAGE_SIZE_AT + 2))
        pages = database.stat().st_size // page_bytes
        written, count = _committed_pages(wal_path(database))
    except FileNotFoundError:
        return
    except PermissionError as exc:
        raise DatabaseForbidden(database, str(exc)) from exc
    missing = set(range(pages + 1, count + 1)) - written
    if missing:
        raise DatabaseDamaged(database, f"is cut off: page {min(missing)} of {count} is missing")


def sync_wal(database: Path) -> None:
    """Make all commits so far durable, whatever `synchronous` is. Waits for the disk.

    Without a WAL there is nothing to do: the checkpoint has synced the database.
    """
    with suppress(FileNotFoundError):
        sync(wal_path(database))


def _page_bytes(head: bytes) -> int:
    """Return the page size from a database's header, where 1 stands for 65536."""
    size = int.from_bytes(head[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 2])
    return 65536 if size <= 1 else size


def _committed_pages(wal: Path) -> tuple[set[int], int]:
    """Return the pages in a WAL and the database's page count in it; 0 without a commit."""
    pages: set[int] = set()
    committed: set[int] = set()
    count = 0
    with wal.open("rb", buffering=0) as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES:
            return committed, 0
        step = _FRAME_HEADER_BYTES + int.from_bytes(header[8:12])
        for at in range(_HEADER_BYTES, wal.stat().st_size - step + 1, step):
            file.seek(at)
            page, size, salt = struct.unpack_from(">II8s", file.read(_FRAME_HEADER_BYTES))
            if salt != header[16:24]:
                break  # Left over from before the WAL was reset.
            pages.add(page)
            if size:
                count = size
                committed |= pages
                pages = set()
    return committed, count


def _fault_of(path: Path) -> str | None:
    try:
        with path.open("rb", buffering=0) as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return None
    if len(header) < _HEADER_BYTES or not any(header):
        return None
    magic, version = struct.unpack_from(">II", header)
    if magic not in _MAGIC or version != _VERSION:
        return "is not a WAL of SQLite"
    if struct.unpack_from(">II", header, 24) != _checksum(header[:24], _MAGIC[magic]):
        return "has a damaged header"
    return None


def _checksum(data: bytes, order: str) -> tuple[int, int]:
    first = second = 0
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & _UINT32
        second = (second + other + first) & _UINT32
    return first, second
