"""The layers of a hold whose blobs are on disk.

All that the replica has come back, also those that were deleted within its retention: the hold's
own collection of garbage removes what nothing refers to.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.replication.copies.at_once import for_each_found
from pds.replication.copies.blob_directories import LAYERS, directory_of_copy
from pds.replication.errors import ReplicaFileMissing
from pds.replication.replica.names import BLOBS
from pds.replication.restore.named_files import NamedFiles, digest_of
from pds.replication.restore.report import Lack
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
        files = NamedFiles(self.reader, self.report)

        async def restore(copy: StoredFile) -> None:
            await self._restore_one(files, copy)
            self.progress(STEP, self.report.totals.layers, 0)

        await for_each_found(self.reader.list(BLOBS + LAYERS), restore, at_once=_AT_ONCE)

    async def _restore_one(self, files: NamedFiles, copy: StoredFile) -> None:
        directory, name = directory_of_copy(copy.name)
        if directory is None or digest_of(copy.name) is None:
            return
        path = self.directory / directory.path / name
        try:
            fault = await files.restore(copy.name, path, size=copy.size)
        except ReplicaFileMissing as exc:
            fault = str(exc)
        if fault:
            self.report.add(Lack.DAMAGED_LAYER, name, fault)
        else:
            self.report.totals.layers += 1
