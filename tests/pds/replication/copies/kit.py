"""Tools of the tests of copies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.place import StoredFile
from repo.cid import Cid

DAY_S = 24 * 60 * 60
RETENTION_S = 7 * DAY_S


class Lid:
    """A seal that anybody can see through, and that shows that it was put on."""

    suffix = ".age"

    def __init__(self, mark: bytes = b"sealed:") -> None:
        self.mark = mark

    def seal(self, data: bytes) -> bytes:
        return self.mark + data


class NoLid:
    """The absence of a seal."""

    suffix = ""

    def seal(self, data: bytes) -> bytes:
        return data


class WatchedPlace(FilePlace):
    """A replica in a directory, with a signal for its first new file."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.has_taken = asyncio.Event()
        self.listed_until_away: int | None = None
        """How many files a listing has before it breaks off; None: all."""

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        listed = 0
        async for file in super().list(prefix):
            if listed == self.listed_until_away:
                raise ReplicaUnavailable("away")
            yield file
            listed += 1

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        await super().write(name, data, timestamp_ms=timestamp_ms)
        self.has_taken.set()

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        size = await super().upload(name, path, timestamp_ms=timestamp_ms)
        self.has_taken.set()
        return size


def files_of(directory: Path) -> dict[str, bytes]:
    """All files below a directory by their names."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def put_blob(directory: Path, data: bytes) -> str:
    """Store bytes under their CID, long ago; return the CID."""
    cid = str(Cid.of_raw(data))
    put(directory / cid, data)
    return cid


def put_layer(blobs: Path, data: bytes) -> str:
    """Store a layer of a hold; return its path below the blobs."""
    name = hashlib.sha256(data).hexdigest()
    put(blobs / "oci/sha256" / name[:2] / name, data)
    return f"oci/sha256/{name[:2]}/{name}"


def put(path: Path, data: bytes) -> None:
    """Write a file into a directory, which then looks as if it had not changed for an hour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    settle(path.parent)


def settle(directory: Path) -> None:
    """Make a directory look as if its last change were an hour ago, but now."""
    then_ns = time.time_ns() - 3_600_000_000_000
    os.utime(directory, ns=(then_ns, then_ns))


def make(directory: Path) -> None:
    """Make an empty directory."""
    directory.mkdir()


def hide(directory: Path) -> None:
    """Take a directory away, as if its disk were not mounted."""
    directory.rename(directory.with_name("unmounted"))


@contextmanager
def away(directory: Path) -> Iterator[None]:
    """A `with` block during which the place of the replica is gone."""
    hidden = directory.with_name("elsewhere")
    directory.rename(hidden)
    try:
        yield
    finally:
        hidden.rename(directory)
