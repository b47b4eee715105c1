"""Blobs: those of directories of which the ledger tells that some have come or gone.

They come after everything else and on their own, because a large one must not hold up databases.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from pds.replication.copies.at_once import for_each
from pds.replication.copies.blob_directories import directory_of_copy, hash_file
from pds.replication.copies.pace import BackOff
from pds.replication.copies.problems import Problems
from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing, ReplicationError
from pds.replication.restore.target import part_of

if TYPE_CHECKING:
    from pds.replication.restore.patience import PatientReader
    from pds.replication.standby.ledger_copy import LedgerCopy
    from pds.replication.standby.ledger_rows import LedgerBlob, LedgerDirectory

_PAGE: Final = 100
_AT_ONCE: Final = 4

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Blobs:
    """The blobs of a standby, in a directory on its disk."""

    reader: PatientReader
    ledger: LedgerCopy
    blobs: Path
    seen: int = 0
    """The highest `changed` of the ledger up to which everything is done; 0 at each start."""
    copied: int = 0
    deleted: int = 0
    is_behind: bool = False
    error: str | None = None
    """Why no blob can be copied now; None if they can."""
    problems: Problems = field(default_factory=Problems)
    _has_news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look for news: the ledger has changed."""
        self._has_news.set()

    async def run(self) -> None:
        """Copy what is new after each `wake`, until cancelled."""
        back_off = BackOff()
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            try:
                await self.advance()
            except (ReplicationError, DatabaseError, OSError) as exc:
                if self.error != str(exc):
                    _log.warning("blobs cannot be copied", reason=str(exc))
                self.error = str(exc)
                self._has_news.set()
                await back_off.wait()
            else:
                self.error = None
                back_off.reset()

    async def advance(self) -> None:
        """Bring all directories as far as the ledger is.

        Raises errors of the place, `DatabaseError`s and `OSError`.
        """
        self.is_behind = True
        while True:
            async with self.ledger.rows() as rows:
                page = rows.directories(after=self.seen, limit=_PAGE)
            if not page:
                break
            for directory in page:
                await self._compare(directory)
                self.seen = directory.changed
        self.is_behind = False

    async def _compare(self, changed: LedgerDirectory) -> None:
        directory = changed.directory
        if directory_of_copy(f"{directory.replica_prefix}-")[0] is None:
            return  # Of a later version, or of somebody who would have us write elsewhere.
        async with self.ledger.rows() as rows:
            known = await asyncio.to_thread(lambda: list(rows.blobs(changed.id)))
        path = self.blobs / directory.path
        sizes = await asyncio.to_thread(_sizes_in, path)
        gone = [name for blob in known if blob.is_gone and (name := _name(changed, blob)) in sizes]
        new = [
            blob
            for blob in known
            if not blob.is_gone and sizes.get(_name(changed, blob)) != blob.size
        ]
        if new:
            await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        await for_each(new, lambda blob: self._copy(changed, blob, path), at_once=_AT_ONCE)
        if gone:
            await asyncio.to_thread(_delete, path, gone)
            self.deleted += len(gone)

    async def _copy(self, changed: LedgerDirectory, blob: LedgerBlob, directory: Path) -> None:
        path = directory / _name(changed, blob)
        part = part_of(path)
        name = changed.directory.copy_of(blob.digest)
        try:
            await self.reader.download(name, part)
            if await asyncio.to_thread(hash_file, part) != blob.digest:
                raise DamagedReplicaFile("its SHA-256 is another one")
        except (DamagedReplicaFile, ReplicaFileMissing) as exc:
            await asyncio.to_thread(part.unlink, missing_ok=True)
            if self.problems.add(name, f"{name}: {exc}"):
                _log.warning("a blob cannot be copied", name=name, reason=str(exc))
            return
        await asyncio.to_thread(part.replace, path)
        self.problems.clear(name)
        self.copied += 1


def _name(changed: LedgerDirectory, blob: LedgerBlob) -> str:
    return changed.directory.name_of(blob.digest)


def _sizes_in(directory: Path) -> dict[str, int]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        return {entry.name: entry.stat().st_size for entry in entries}
    return {}


def _delete(directory: Path, gone: list[str]) -> None:
    for name in gone:
        (directory / name).unlink(missing_ok=True)
    with suppress(OSError):
        directory.rmdir()
