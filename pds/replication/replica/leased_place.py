"""A replica that is written to only while its lease is held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path

from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica.lease import Lease
from pds.replication.replica.place import ReplicaPlace, StoredFile


class LeasedPlace:
    """A `ReplicaPlace` for everything but the lease itself.

    While the lease is not held, what changes files raises `ReplicaUnavailable`: another supervisor
    may have taken the replica over.
    """

    def __init__(self, place: ReplicaPlace, lease: Lease) -> None:
        self._place = place
        self._lease = lease

    def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """See `ReplicaPlace.list`."""
        return self._place.list(prefix)

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """See `ReplicaPlace.read`."""
        return await self._place.read(name, max_bytes=max_bytes)

    async def read_start(self, name: str, size: int) -> bytes:
        """See `ReplicaPlace.read_start`."""
        return await self._place.read_start(name, size)

    async def download(self, name: str, path: Path) -> int:
        """See `ReplicaPlace.download`."""
        return await self._place.download(name, path)

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        """See `ReplicaPlace.write`."""
        await self._writable().write(name, data, timestamp_ms=timestamp_ms)

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        """See `ReplicaPlace.write_if_same`."""
        return await self._writable().write_if_same(name, data, before=before)

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        """See `ReplicaPlace.upload`."""
        return await self._writable().upload(name, path, timestamp_ms=timestamp_ms)

    async def delete(self, names: Collection[str]) -> None:
        """See `ReplicaPlace.delete`."""
        await self._writable().delete(names)

    async def close(self) -> None:
        """See `ReplicaPlace.close`."""
        await self._place.close()

    def _writable(self) -> ReplicaPlace:
        if not self._lease.is_held:
            reason = self._lease.last_error or "it was not renewed in time"
            raise ReplicaUnavailable(f"the lease of the replica is not held: {reason}")
        return self._place
