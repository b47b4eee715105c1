"""From LTX files to a database file. Every function waits for the disk: call it in a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from database.files import sync
from pds.replication.errors import ReplicationError
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import Header, lock_page
from pds.replication.ltx.merging import MAX_SOURCES, Merged, check_follows
from pds.replication.ltx.reading import LtxSource, verify

_BUFFER_BYTES: Final = 1024 * 1024
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Files that SQLite would take for a part of the database."""


@dataclass(slots=True, frozen=True)
class Applied:
    """What a database has become."""

    last: int
    """Its last transaction."""
    timestamp_ms: int
    """When that was noticed, in Unix milliseconds."""
    size: int
    """Its length in bytes."""


def restore_database(
    sources: Sequence[LtxSource], path: Path, *, mode: int = 0o666, durable: bool = True
) -> Applied:
    """Write a database from a file that has all of it and the increments that follow, oldest first.

    `path` appears complete or not at all. `mode` are its permissions, less the umask. `durable`:
    it is on disk when this returns; without it, the caller syncs once for many databases.

    Raises `FileExistsError` if `path` exists, `DamagedLtx`, and `OSError`s of the disk.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists: a restore replaces nothing")
    part = path.with_name(f"{path.name}.restoring")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "r+b", buffering=_BUFFER_BYTES) as file:
            header = _write_new(sources[:MAX_SOURCES], file)
            file.flush()
            for start in range(MAX_SOURCES, len(sources), MAX_SOURCES):
                group = sources[start : start + MAX_SOURCES]
                header = _write_changes(group, descriptor, header)
            if durable:
                os.fsync(descriptor)
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        part.rename(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)
    return Applied(header.last, header.timestamp_ms, header.pages * header.page_bytes)


def apply_changes(sources: Sequence[LtxSource], path: Path, *, after: int) -> Applied:
    """Bring a database that is at transaction `after` further, in place, and sync it.

    Nothing is written before all files have been checked. If the process dies meanwhile, the
    database is between two states, and applying the files once more completes it. No connection
    may be open.

    Raises `DamagedLtx`, `ReplicationError` if somebody has written to the database, and `OSError`s.
    """
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size:
        raise ReplicationError(
            f"{path} has been written to since it was restored ({wal.name} is not empty): "
            "remove the database to restore it anew"
        )
    if not sources:
        raise ValueError("nothing to apply")
    before = verify(sources[0])
    if before.first > after + 1:
        raise DamagedLtx(sources[0].path, f"it does not follow transaction {after:016x}")
    for source in sources[1:]:
        header = verify(source)
        check_follows(source.path, before, header)
        before = header
    with path.open("r+b", buffering=0) as file:
        pages = os.fstat(file.fileno()).st_size // before.page_bytes
        _check_page_size(file, before, sources[0].path)
        state = Header(
            page_bytes=before.page_bytes, pages=pages, first=1, last=after, timestamp_ms=0
        )
        for start in range(0, len(sources), MAX_SOURCES):
            state = _write_changes(sources[start : start + MAX_SOURCES], file.fileno(), state)
        os.fsync(file.fileno())
    return Applied(state.last, state.timestamp_ms, state.pages * state.page_bytes)


def _check_page_size(file: BinaryIO, header: Header, path: str) -> None:
    stored = int.from_bytes(file.read(18)[16:18], "big")
    page_bytes = 65536 if stored == 1 else stored
    if page_bytes != header.page_bytes:
        raise DamagedLtx(path, f"pages of {header.page_bytes} bytes for a database of {page_bytes}")


def _write_new(sources: Sequence[LtxSource], file: BinaryIO) -> Header:
    """Write a database from its first page to its last, each once."""
    with Merged(sources) as merged:
        header = merged.header
        expected = 1
        for page, content in merged.pages():
            if page != expected and page == expected + 1 and expected == header.lock_page:
                file.write(bytes(header.page_bytes))
                expected += 1
            if page != expected:
                raise DamagedLtx(sources[-1].path, f"nothing before it has page {expected}")
            file.write(content)
            expected += 1
        if expected == header.lock_page == header.pages:
            file.write(bytes(header.page_bytes))
            expected += 1
        if expected != header.pages + 1:
            raise DamagedLtx(sources[-1].path, f"nothing before it has page {expected}")
        return header


def _write_changes(sources: Sequence[LtxSource], descriptor: int, before: Header) -> Header:
    """Write changed pages into a database whose state `before` tells, and cut it to its length."""
    with Merged(sources) as merged:
        header = merged.header
        check_follows(sources[0].path, before, header)
        new = _new_pages(before, header)
        for page, content in merged.pages():
            if page > before.pages and page != next(new, None):
                break
            os.pwrite(descriptor, content, (page - 1) * header.page_bytes)
        else:
            if next(new, None) is None:
                os.ftruncate(descriptor, header.pages * header.page_bytes)
                return header
        raise DamagedLtx(sources[-1].path, "the database grows, but not all new pages are there")


def _new_pages(before: Header, header: Header) -> Iterator[int]:
    """Yield the numbers of the pages by which a database grows."""
    lock = lock_page(header.page_bytes)
    return (page for page in range(before.pages + 1, header.pages + 1) if page != lock)
