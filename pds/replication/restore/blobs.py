"""Blobs: those that the restored accounts have, each to the place that its database tells.

The replica keeps deleted blobs for a while, and those of deleted accounts; they are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actor_store.blob_store.base import InvalidBlobName
from actor_store.blob_store.names import checked_did
from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from pds.replication.copies.at_once import for_each
from pds.replication.errors import ReplicaFileMissing
from pds.replication.replica import names
from pds.replication.restore.listing import BlobGroup, iter_blobs
from pds.replication.restore.named_files import NamedFiles
from pds.replication.restore.reading import BlobRow, read_blobs
from pds.replication.restore.report import Lack
from pds.reporting import Progress, Sample
from repo.cid import Cid, InvalidCid

if TYPE_CHECKING:
    from pds.replication.replica.place import StoredFile
    from pds.replication.restore.options import RestoreOptions
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.report import RestoreReport
    from pds.replication.restore.target import RestoreTarget

STEP: Final = "blobs"
_AT_ONCE: Final = 16


@dataclass(slots=True)
class Blobs:
    """The blobs of a restore."""

    reader: PatientReader
    target: RestoreTarget
    directory: Path
    options: RestoreOptions
    report: RestoreReport
    progress: Progress
    accounts: Collection[str]
    """DIDs whose blobs are restored although their databases could not be."""
    _rows: dict[str, BlobRow] = field(default_factory=dict)
    _rows_of: str = ""

    async def restore(self, with_blobs: set[str]) -> None:
        """Restore blobs, and find those that are missing of the accounts `with_blobs`."""
        self.progress(STEP, 0, 0)
        few = self.options.few_dids
        for prefix in [""] if few is None else _prefixes(few):
            async with aclosing(iter_blobs(self.reader, prefix)) as groups:
                async for group in groups:
                    if self.options.dids is None or group.did in self.options.dids:
                        await self._restore_group(group)
        for did in sorted(with_blobs):
            missing = await asyncio.to_thread(self._find_missing, did)
            if missing:
                self.report.add(Lack.BLOB, did, str(missing))

    async def _restore_group(self, group: BlobGroup) -> None:
        """Restore some blobs of one account. Groups of one account come one after the other."""
        if group.did != self._rows_of:
            self._rows = await asyncio.to_thread(self._read_rows, group.did)
            self._rows_of = group.did
        if not self._rows and await asyncio.to_thread(self._lacks_store, group.did):
            # All blobs, as they lie: the database may yet come from another backup.
            down = group.in_quarantine
            self._rows = {
                cid: BlobRow(blob.size, down)
                for blob in group.blobs
                if _is_cid(cid := _cid_of(blob))
            }
            self._rows_of = ""
        wanted = [(blob, row) for blob in group.blobs if (row := self._rows.get(_cid_of(blob)))]
        files = NamedFiles(self.reader, self.report)

        async def restore(found: tuple[StoredFile, BlobRow]) -> None:
            await self._restore_one(files, group.did, *found)
            self.progress(STEP, self.report.totals.blobs, 0)

        await for_each(wanted, restore, at_once=_AT_ONCE)

    async def _restore_one(
        self, files: NamedFiles, did: str, blob: StoredFile, row: BlobRow
    ) -> None:
        cid = _cid_of(blob)
        path = self._path(did, cid, is_takendown=row.is_takendown)
        try:
            fault = await files.restore(blob.name, path, size=row.size)
        except ReplicaFileMissing:
            return  # Found to be missing at the end.
        if fault:
            self.report.add(Lack.DAMAGED_BLOB, did, f"{cid}: {fault}")
        else:
            self.report.totals.blobs += 1

    def _find_missing(self, did: str) -> Sample:
        missing = Sample()
        missing.update(
            cid
            for cid, row in self._read_rows(did).items()
            if not self._path(did, cid, is_takendown=row.is_takendown).is_file()
        )
        return missing

    def _read_rows(self, did: str) -> dict[str, BlobRow]:
        """Return the blobs of an account; none if it is not there, or cannot be read."""
        try:
            store = self.target.layout.store(checked_did(did))
            found = read_blobs(store) if store.exists() else {}
        except (InvalidStoreName, InvalidBlobName, DatabaseError):
            return {}
        return {cid: row for cid, row in found.items() if _is_cid(cid)}

    def _lacks_store(self, did: str) -> bool:
        try:
            checked_did(did)
            return did in self.accounts and not self.target.layout.store(did).exists()
        except (InvalidStoreName, InvalidBlobName):
            return False

    def _path(self, did: str, cid: str, *, is_takendown: bool) -> Path:
        below = self.directory / "quarantine" if is_takendown else self.directory
        return below / did / cid


def _prefixes(dids: list[str]) -> list[str]:
    directories = [f"{names.encode_did(did)}/" for did in dids]
    return [above + each for each in directories for above in (names.BLOBS, names.QUARANTINE)]


def _cid_of(blob: StoredFile) -> str:
    return blob.name.rpartition("/")[2]


def _is_cid(text: str) -> bool:
    try:
        return str(Cid.parse(text)) == text
    except InvalidCid:
        return False
