"""LTX files of a replica, here for a while: in memory if they are small, otherwise on disk."""

from __future__ import annotations

import asyncio
import io
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, Self

from pds.replication.errors import DamagedReplicaFile
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import Header
from pds.replication.ltx.merging import merge
from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile, LtxName
from pds.replication.ltx.reading import LtxSource
from pds.replication.replica.place import ReplicaPlace

_IN_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""Of all files together; the others lie in the scratch directory."""
_AT_ONCE: Final = 8


class Transfer:
    """Reads files, merges them and writes the result; an asynchronous context manager.

    Methods raise the errors of the place and of the local disk, and `DamagedLtx`.
    """

    def __init__(self, place: ReplicaPlace, *, scratch: Path | None = None) -> None:
        """`scratch` is where temporary files go: a new directory there, while they are needed."""
        self._place = place
        self._scratch = scratch
        self._directory: Path | None = None
        self._sources: dict[str, LtxSource] = {}
        self._room = _IN_MEMORY_BYTES

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._directory is not None:
            await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def fetch(self, files: Sequence[LtxFile]) -> list[LtxSource]:
        """Return the contents of files, in the same order; each is read once."""
        turns = asyncio.Semaphore(_AT_ONCE)

        async def fetch(file: LtxFile) -> None:
            async with turns:
                self._sources[file.path] = await self._fetch(file)

        missing = [file for file in files if file.path not in self._sources]
        # The others must have ended before their directory goes away.
        for result in await asyncio.gather(*map(fetch, missing), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return [self._sources[file.path] for file in files]

    async def merge(self, files: Sequence[LtxFile], level: int) -> LtxFile:
        """Write files, oldest first, as one at a level. A snapshot starts with transaction 1."""
        sources = await self.fetch(files)
        target = None
        if sum(file.size for file in files) > _IN_MEMORY_BYTES:
            target = self._new_path()
        header, data = await asyncio.to_thread(
            _merge, sources, target, as_snapshot=level == SNAPSHOT_LEVEL
        )
        name = LtxName(level, header.first, header.last)
        path = name.path(files[0].database)
        if isinstance(data, bytes):
            await self._place.write(path, data, timestamp_ms=header.timestamp_ms)
        else:
            await self._place.upload(path, data, timestamp_ms=header.timestamp_ms)
        source = LtxSource(path, data, name)
        size = source.size()
        if not isinstance(data, bytes) or self._takes(size):
            self._sources[path] = source
        now_ms = round(time.time() * 1000)
        return LtxFile(files[0].database, name, path, size, now_ms, header.timestamp_ms)

    async def _fetch(self, file: LtxFile) -> LtxSource:
        data: bytes | Path
        try:
            if self._takes(file.size):
                data = await self._place.read(file.path, max_bytes=file.size)
            else:
                data = self._new_path()
                await self._place.download(file.path, data)
        except DamagedLtx:
            raise
        except DamagedReplicaFile as exc:
            raise DamagedLtx(file.path, str(exc)) from exc
        return LtxSource(file.path, data, file.name)

    def _takes(self, size: int) -> bool:
        """Whether there is room in memory for some bytes, which are then counted."""
        if size > self._room:
            return False
        self._room -= size
        return True

    def _new_path(self) -> Path:
        if self._directory is None:
            self._directory = Path(mkdtemp(prefix=".ltx-", dir=self._scratch))
        return self._directory / secrets.token_hex(8)


def _merge(
    sources: Sequence[LtxSource], target: Path | None, *, as_snapshot: bool
) -> tuple[Header, bytes | Path]:
    """Merge into a file, or in memory; return the header and what was written."""
    if target is None:
        memory = io.BytesIO()
        header, _ = merge(sources, memory, as_snapshot=as_snapshot)
        return header, memory.getvalue()
    with target.open("wb", buffering=1024 * 1024) as file:
        header, _ = merge(sources, file, as_snapshot=as_snapshot, scratch=target.parent)
    return header, target
