"""Files that are named for their contents, one at a time: blobs, and layers of a hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pds.replication.copies.blob_directories import directory_of_copy, hash_file
from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing
from pds.replication.restore.target import part_of

if TYPE_CHECKING:
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.report import RestoreReport


@dataclass(slots=True)
class NamedFiles:
    """Restores files to directories on the disk."""

    reader: PatientReader
    report: RestoreReport

    async def restore(self, name: str, path: Path, *, size: int) -> str:
        """Restore the file `name` of the replica; return what is wrong with it, or nothing.

        One that is there and has its size stays. Raises `ReplicaFileMissing`, other errors of the
        place, and `OSError`.
        """
        if await asyncio.to_thread(_has_size, path, size):
            return ""
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        part = part_of(path)
        try:
            got = await self.reader.download(name, part)
            self.report.totals.read_bytes += got
            if got != size:
                raise DamagedReplicaFile(f"{got} bytes instead of {size}")
            if await asyncio.to_thread(hash_file, part) != digest_of(name):
                raise DamagedReplicaFile("its bytes do not fit its name")
        except ReplicaFileMissing:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            raise
        except DamagedReplicaFile as exc:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            return str(exc)
        await asyncio.to_thread(part.replace, path)
        return ""


def digest_of(name: str) -> bytes | None:
    """Return the SHA-256 that a copy is named for; None if it is neither a blob nor a layer."""
    directory, file = directory_of_copy(name)
    return None if directory is None else directory.parse(file)


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
