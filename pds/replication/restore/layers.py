"""The layers of a hold whose blobs are on disk.

All that the replica has come back, also those that were deleted within its retention: the hold's
own collection of garbage removes what nothing refers to.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.replication.copies.blob_directories import LAYERS, directory_of_copy, hash_file
from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing
from pds.replication.replica.names import BLOBS
from pds.replication.restore.failures import first_failure
from pds.replication.restore.report import Lack
from pds.replication.restore.target import part_of
from pds.reporting import Progress

if TYPE_CHECKING:
    from pds.replication.replica.place import StoredFile
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.report import RestoreReport

STEP: Final = "layers of the hold"
_AT_ONCE: Final = 4
"""Layers are large."""


@dataclass(slots=True)
class Layers:
    """The layers of a restore."""

    reader: PatientReader
    directory: Path
    """The directory of blobs."""
    report: RestoreReport
    progress: Progress

    async def restore(self) -> None:
        """Restore all layers; one that is damaged in the replica is listed and left out."""
        turns = asyncio.Semaphore(_AT_ONCE)
        found: list[StoredFile] = []

        async def restore(copy: StoredFile) -> None:
            async with turns:
                await self._restore_one(copy)
            self.progress(STEP, self.report.totals.layers, 0)

        async with aclosing(self.reader.list(BLOBS + LAYERS)) as copies:
            found = [copy async for copy in copies]
        with first_failure():
            async with asyncio.TaskGroup() as tasks:
                for copy in found:
                    tasks.create_task(restore(copy))

    async def _restore_one(self, copy: StoredFile) -> None:
        directory, name = directory_of_copy(copy.name)
        digest = None if directory is None else directory.parse(name)
        if directory is None or digest is None:
            return
        path = self.directory / directory.path / name
        if await asyncio.to_thread(_has_size, path, copy.size):
            self.report.totals.layers += 1
            return
        part = part_of(path)
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        try:
            self.report.totals.read_bytes += await self.reader.download(copy.name, part)
        except (ReplicaFileMissing, DamagedReplicaFile) as exc:
            self.report.add(Lack.DAMAGED_LAYER, name, str(exc))
            return
        if await asyncio.to_thread(hash_file, part) != digest:
            await asyncio.to_thread(part.unlink)
            self.report.add(Lack.DAMAGED_LAYER, name, "its bytes do not fit its digest")
            return
        await asyncio.to_thread(part.replace, path)
        self.report.totals.layers += 1


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
