"""The place of a replica, as the rest of this room uses it.

Litestream writes the databases there by itself. Everything else, and every reader, comes through
here: keys, blobs, the manifest, the lease, compaction and restores.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(slots=True, frozen=True)
class StoredFile:
    """A file of the replica."""

    name: str
    """Its path below the replica's URL, with `/` between parts: see `names`."""
    size: int
    """Length in bytes."""
    modified_s: float
    """When it was written, in Unix seconds, by the clock of the place."""


class ReplicaPlace(Protocol):
    """The files of a replica.

    Every method may raise `ReplicaUnavailable` (after bounded retries and time), `ReplicaRefused`
    and `ReplicaFull`. Methods may be called concurrently.
    """

    def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """Yield the files whose names start with `prefix`, ordered by name.

        Some servers differ between directories of which one's name starts with the other's; the
        files of a directory always come together.
        """
        ...

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """Return a whole file.

        Raises `ReplicaFileMissing`, and `DamagedReplicaFile` if it is longer than `max_bytes`.
        """
        ...

    async def read_start(self, name: str, size: int) -> bytes:
        """Return the first `size` bytes of a file, or all if it is shorter.

        Raises `ReplicaFileMissing`.
        """
        ...

    async def download(self, name: str, path: Path) -> int:
        """Write a file to `path`, replacing what is there, and return its length in bytes.

        Raises `ReplicaFileMissing`, and `OSError` of the local disk. After an error, `path` may
        hold a part of the file.
        """
        ...

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        """Write a file whole or not at all, replacing what is there.

        `timestamp_ms` is the time of an LTX file, which Litestream looks for in S3's metadata.
        """
        ...

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        """Write a small file only if it still is `before` (None: missing); return whether it was.

        Of several writers at once, at most one succeeds, where the place can promise that.
        """
        ...

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        """Write the local file `path` as `name`, and return its length in bytes.

        Raises `FileNotFoundError` and other `OSError`s of the local disk.
        """
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Delete files; missing ones are ignored."""
        ...

    async def close(self) -> None:
        """Close connections. May be repeated."""
        ...
