"""A replica in a directory, with the least that tests of one database need."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing
from pds.replication.replica.place import StoredFile


class DirectoryPlace:
    """Keeps count of what was asked of it, and fails where a test wants it to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.before: Callable[[str, str], None] = lambda _method, _name: None
        """Called with the method and the name before anything is changed."""

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_file() and name.startswith(prefix):
                status = path.stat()
                yield StoredFile(name, status.st_size, status.st_mtime_ns / 1e9)

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        try:
            data = (self.root / name).read_bytes()
        except FileNotFoundError as exc:
            raise ReplicaFileMissing(name) from exc
        if len(data) > max_bytes:
            raise DamagedReplicaFile(name)
        return data

    async def download(self, name: str, path: Path) -> int:
        return await asyncio.to_thread(self._copy, name, path)

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        self.before("write", name)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if timestamp_ms is not None:
            os.utime(path, ns=(timestamp_ms * 1_000_000,) * 2)

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        raise NotImplementedError

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        data = await asyncio.to_thread(path.read_bytes)
        await self.write(name, data, timestamp_ms=timestamp_ms)
        return len(data)

    async def delete(self, names: Collection[str]) -> None:
        for name in names:
            self.before("delete", name)
            (self.root / name).unlink(missing_ok=True)

    def _copy(self, name: str, path: Path) -> int:
        shutil.copyfile(self.root / name, path)
        return path.stat().st_size

    async def close(self) -> None:
        pass
