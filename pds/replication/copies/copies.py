"""Everything that is copied beside databases, as the supervisor runs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from actor_store.layout import ActorLayout
from pds.replication.copies.blob_rows import BlobRows
from pds.replication.copies.blobs import BLOBS_ON_S3, BlobCopier
from pds.replication.copies.key_files import KeyFiles
from pds.replication.copies.key_rows import KeyRows
from pds.replication.copies.keys import KeyCopier
from pds.replication.copies.sealing import KeySealer
from pds.replication.copies.tables import create_tables
from pds.replication.status import CopiesStatus

if TYPE_CHECKING:
    from database.connection import Database
    from pds.replication.options import ReplicationOptions
    from pds.replication.replica.manifest import Sealing
    from pds.replication.replica.place import ReplicaPlace

_DAY_S: Final = 24 * 60 * 60
_TOLD: Final = 3
"""Problems with single files that a status names."""


class Copies:
    """Copies keys and other secrets, and blobs if they are on disk."""

    def __init__(
        self,
        options: ReplicationOptions,
        ledger: Database,
        place: ReplicaPlace,
        sealing: Sealing,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the ledger's connection for tables of its own; `clock` returns Unix seconds.

        Raises `DatabaseError`s, and what `KeySealer` raises.
        """
        create_tables(ledger)
        retention_s = options.retention_days * _DAY_S
        self._keys = KeyCopier(
            KeyFiles(ActorLayout(options.actors_directory), options.data_directory),
            KeyRows(ledger),
            place,
            KeySealer(sealing),
            recipient=sealing.recipient,
            retention_s=retention_s,
            clock=clock,
        )
        self._blobs: BlobCopier | None = None
        if options.blob_directory is not None:
            self._blobs = BlobCopier(
                options.blob_directory,
                BlobRows(ledger),
                place,
                retention_s=retention_s,
                clock=clock,
            )

    async def copy_key(self, did: str) -> None:
        """Await this before the database of an actor is synced; see `KeyCopier.copy_key`."""
        await self._keys.copy_key(did)

    def notice(self, did: str) -> None:
        """Call this when the database of an actor has been synced: it may have new blobs."""
        if self._blobs is not None:
            self._blobs.notice(did)

    async def run(self) -> None:
        """Copy what is not asked for, until cancelled; an outage is waited out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keys.run())
            if self._blobs is not None:
                group.create_task(self._blobs.run())

    async def finish(self) -> None:
        """Copy the blobs that have been noticed, before a stop. Raises as `BlobCopier` does."""
        if self._blobs is not None:
            await self._blobs.finish()

    @property
    def keys_copied(self) -> int:
        """How many keys and other secrets have been copied since the start."""
        return self._keys.copied

    @property
    def blobs_copied(self) -> int:
        """How many blobs have been copied since the start."""
        return 0 if self._blobs is None else self._blobs.progress.copied

    @property
    def status(self) -> CopiesStatus:
        """Return the other figures for the status."""
        failing, error = len(self._keys.problems), self._keys.error
        if self._blobs is None:
            return CopiesStatus(failing=failing, error=error)
        progress = self._blobs.progress
        return CopiesStatus(
            blob_bytes_copied=progress.copied_bytes,
            blobs_waiting=progress.waiting,
            blob_bytes_waiting=progress.waiting_bytes,
            blobs_removed=progress.removed,
            failing=failing + len(self._blobs.problems),
            error=error or self._blobs.error,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the operator ought to know."""
        problems = self._keys.problems.first(_TOLD)
        if self._blobs is None:
            return (*problems, BLOBS_ON_S3)
        return (*problems, *self._blobs.problems.first(_TOLD))
