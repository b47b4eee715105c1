"""Getting LTX files of one database: small ones into memory, others into files beside it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import HEADER_BYTES
from pds.replication.ltx.names import LtxFile
from pds.replication.ltx.reading import LtxSource
from pds.replication.restore.patience import PatientReader

_IN_MEMORY_BYTES: Final = 4 * 1024 * 1024
"""Databases whose files are longer together go through files beside them."""
_READS_AT_ONCE: Final = 8


class FileGone(Exception):
    """A file was listed and is not there any more: list again."""


class LtxFetcher:
    """Gets files of one database."""

    def __init__(self, reader: PatientReader, *, beside: Path) -> None:
        """`beside` is the database that the files are for."""
        self._reader = reader
        self._parts = beside.with_name(f".{beside.name}.ltx")
        self.read_bytes = 0
        """Bytes read from the replica."""

    async def fetch(self, files: Sequence[LtxFile]) -> list[LtxSource]:
        """Return what the files have; call `remove_parts` after the last use.

        Raises `FileGone`, `DamagedLtx`, errors of the place, and `OSError`.
        """
        in_memory = sum(file.size for file in files) <= _IN_MEMORY_BYTES
        if not in_memory:
            await asyncio.to_thread(self._parts.mkdir, parents=True, exist_ok=True)
        if len(files) == 1:
            return [await self._fetch_one(files[0], in_memory=in_memory)]
        turns = asyncio.Semaphore(_READS_AT_ONCE)

        async def fetch(file: LtxFile) -> LtxSource:
            async with turns:
                return await self._fetch_one(file, in_memory=in_memory)

        # With the errors as results, because the others must have ended before files are removed.
        found = await asyncio.gather(*map(fetch, files), return_exceptions=True)
        sources = []
        for source in found:
            if isinstance(source, BaseException):
                raise source
            sources.append(source)
        return sources

    async def remove_parts(self) -> None:
        """Remove the files beside the database."""
        if self._parts.exists():
            await asyncio.to_thread(shutil.rmtree, self._parts, ignore_errors=True)

    async def _fetch_one(self, file: LtxFile, *, in_memory: bool) -> LtxSource:
        data: bytes | Path
        try:
            if in_memory:
                data = await self._reader.read(file.path, max_bytes=max(file.size, HEADER_BYTES))
                self.read_bytes += len(data)
            else:
                data = self._parts / f"{file.name.level}-{file.name.file_name()}"
                self.read_bytes += await self._reader.download(file.path, data)
        except ReplicaFileMissing as exc:
            raise FileGone(file.path) from exc
        except DamagedReplicaFile as exc:
            raise DamagedLtx(file.path, reason_of(exc)) from exc
        return LtxSource(file.path, data, file.name)


def reason_of(exc: DamagedReplicaFile) -> str:
    """Return what is wrong with a file, without its name where that is known."""
    return exc.reason if isinstance(exc, DamagedLtx) else str(exc)
