"""Learning from a replica which blobs it has, for a ledger that is new to it.

A lost ledger would otherwise mean that all blobs are uploaded again, and that none of those which
have been deleted since ever leaves the replica.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.retry import when_free
from pds.replication.copies.blob_directories import BlobDirectory, directory_of_copy
from pds.replication.replica.names import BLOBS

if TYPE_CHECKING:
    from pds.replication.copies.blob_rows import BlobRows
    from pds.replication.replica.place import ReplicaPlace

_BATCH: Final = 1_000
_Copy = tuple[BlobDirectory, bytes, int]
"""A copy by directory, digest and size."""


async def adopt_blobs(blobs: Path, rows: BlobRows, place: ReplicaPlace, *, now_s: int) -> None:
    """Insert rows for the blobs that a replica has.

    Those that are not here are noted as gone. One whose length differs is left out, so that it is
    copied again. Raises `ReplicationError`s and `DatabaseError`s; what was inserted stays, and all
    of it may be repeated.
    """
    async for batch in _batches(place):
        for directory, copies in groupby(batch, key=lambda copy: copy[0]):
            found = [(digest, size) for _, digest, size in copies]
            await _adopt(blobs, rows, directory, found, now_s)


async def _adopt(
    blobs: Path,
    rows: BlobRows,
    directory: BlobDirectory,
    copies: Sequence[tuple[bytes, int]],
    now_s: int,
) -> None:
    names = [directory.name_of(digest) for digest, _ in copies]
    local = await asyncio.to_thread(_sizes, blobs / directory.path, names)
    pairs = list(zip(copies, local, strict=True))
    kept = [copy for copy, size in pairs if size is None or size == copy[1]]
    gone = [digest for (digest, _), size in pairs if size is None]

    def insert() -> None:
        row = rows.add_directory(directory)
        rows.put(row.id, kept)
        rows.mark(row.id, gone=gone, back=(), now_s=now_s)

    await when_free(insert)


async def _batches(place: ReplicaPlace) -> AsyncIterator[list[_Copy]]:
    batch: list[_Copy] = []
    async for file in place.list(BLOBS):
        directory, name = directory_of_copy(file.name)
        digest = None if directory is None else directory.parse(name)
        if directory is not None and digest is not None:
            batch.append((directory, digest, file.size))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _sizes(directory: Path, names: Sequence[str]) -> list[int | None]:
    return [_size(directory / name) for name in names]


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None
