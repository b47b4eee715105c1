"""Copying the blobs of a disk blob store to the replica.

A blob never changes, so it is in the replica once its row is in the ledger. The files of an actor
are compared with the ledger after each sync of its database. A slow sweep finds all others, and
those that are gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from database.retry import when_free
from pds.replication.copies import blob_directories
from pds.replication.copies.at_once import for_each
from pds.replication.copies.blob_adoption import adopt_blobs
from pds.replication.copies.blob_comparison import BlobComparison
from pds.replication.copies.blob_retention import BlobRetention
from pds.replication.copies.blob_uploads import BlobUploader
from pds.replication.copies.pace import BackOff, Pace
from pds.replication.errors import ReplicationError

if TYPE_CHECKING:
    from pds.replication.copies.blob_directories import BlobDirectory
    from pds.replication.copies.blob_rows import BlobRows
    from pds.replication.replica.place import ReplicaPlace

BLOBS_ON_S3: Final = "blobs are in S3, where they stay: protect the bucket itself (versioning)"
"""What the status says where there is no `BlobCopier`."""
_CHUNK: Final = 500
"""Directories that are looked at in one step."""
_AT_ONCE: Final = 8
_SWEEP_EVERY_S: Final = 120.0
_MAX_NOTICED: Final = 50_000

_log = structlog.get_logger(__name__)


class BlobCopier:
    """Keeps the copies of all blobs. Belongs to one event loop."""

    def __init__(
        self,
        blobs: Path,
        rows: BlobRows,
        place: ReplicaPlace,
        *,
        retention_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """A copy is removed `retention_s` after its blob is gone. `clock` returns Unix seconds."""
        self._blobs = blobs
        self._rows = rows
        self._place = place
        self._clock = clock
        self._retention_s = retention_s
        self._uploader = BlobUploader(blobs, rows, place)
        self._comparison = BlobComparison(blobs, rows, self._uploader, clock)
        self._retention = BlobRetention(blobs, rows, place, self._uploader.busy)
        self._noticed: dict[str, None] = {}
        self._has_noticed = asyncio.Event()
        self.progress = self._uploader.progress
        self.problems = self._uploader.problems
        """Local files that cannot be copied."""
        self._errors: dict[Callable[..., object], str] = {}
        """Why the last try of each kind failed; none for those that did not."""

    @property
    def error(self) -> str | None:
        """Why nothing can be copied now; None if it can."""
        return next(iter(self._errors.values()), None)

    def notice(self, did: str) -> None:
        """Look for new blobs of an actor soon: its database has just been synced."""
        if len(self._noticed) < _MAX_NOTICED:
            self._noticed[did] = None
            self._has_noticed.set()

    async def run(self) -> None:
        """Copy what is noticed and what sweeps find, until cancelled."""
        await self._insist(self.learn)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._keep_sweeping())

    async def finish(self) -> None:
        """Copy what has been noticed, before a stop. Raises what `copy_blobs` raises."""
        for did in tuple(self._noticed):
            await self.copy_blobs(did)

    async def learn(self) -> None:
        """Find out what the replica has, unless the ledger knows.

        Raises `ReplicationError`s of the place and `DatabaseError`s of the ledger.
        """
        if not self._rows.are_complete:
            now_s = int(self._clock())
            await adopt_blobs(self._blobs, self._rows, self._place, now_s=now_s)
            await when_free(self._rows.set_complete)

    async def copy_blobs(self, did: str) -> None:
        """Copy the blobs of an actor that the replica lacks.

        Raises `ReplicationError`s of the place, `DatabaseError`s of the ledger, and `OSError`.
        """
        for directory in blob_directories.directories_of(did):
            mtime_ns = blob_directories.mtime_ns_of(self._blobs, directory)
            if mtime_ns is not None or self._rows.find_directory(directory) is not None:
                await self._comparison.compare(directory, mtime_ns, copy=True)

    async def sweep(self) -> None:
        """Compare all directories with the ledger: copy what it lacks, remove what is long gone.

        Raises what `copy_blobs` raises.
        """
        if not await self._is_mounted():
            return
        waiting, waiting_bytes = await self._sweep_directories(copy=False)
        self.progress.waiting, self.progress.waiting_bytes = waiting, waiting_bytes
        if waiting:
            await self._sweep_directories(copy=True)
            # Some were being copied while they were counted; others are among the problems.
            self.progress.waiting = self.progress.waiting_bytes = 0
        await self._sweep_ledger()
        now_s = int(self._clock())
        before_s = int(now_s - self._retention_s)
        self.progress.removed += await self._retention.remove_expired(
            before_s=before_s, now_s=now_s
        )

    async def _follow(self) -> None:
        back_off = BackOff()
        while True:
            await self._has_noticed.wait()
            did = next(iter(self._noticed))
            del self._noticed[did]
            if not self._noticed:
                self._has_noticed.clear()
            try:
                await self.copy_blobs(did)
            except (ReplicationError, DatabaseError, OSError) as exc:
                self.notice(did)
                self._fail(self.copy_blobs, exc)
                await back_off.wait()
            except asyncio.CancelledError:
                # For `finish`.
                self.notice(did)
                raise
            else:
                self._errors.pop(self.copy_blobs, None)
                back_off.reset()
                # Most have no new blob, and then nothing above has waited.
                await asyncio.sleep(0)

    async def _keep_sweeping(self) -> None:
        while True:
            await self._insist(self.sweep)
            await asyncio.sleep(_SWEEP_EVERY_S)

    async def _insist(self, fn: Callable[[], Awaitable[None]]) -> None:
        """Repeat `fn` until it succeeds."""
        back_off = BackOff()
        while True:
            try:
                await fn()
            except (ReplicationError, DatabaseError, OSError) as exc:
                self._fail(fn, exc)
                await back_off.wait()
            else:
                # All that was noticed has been copied as well.
                self._errors.clear()
                return

    def _fail(self, fn: Callable[..., object], exc: Exception) -> None:
        if str(exc) not in self._errors.values():
            _log.warning("blobs cannot be copied to the replica", error=str(exc))
        self._errors[fn] = str(exc)

    async def _is_mounted(self) -> bool:
        """Whether there are directories, or never were: nothing may be removed for a lost disk."""
        name = str(self._blobs)
        with suppress(FileNotFoundError):
            chunks = blob_directories.list_chunks(self._blobs, 1)
            if await asyncio.to_thread(next, chunks, None) is not None:
                self.problems.clear(name)
                return True
        if self._rows.directories(after_id=0, limit=1):
            text = f"{name} is missing or empty, and had blobs before: is its disk mounted?"
            if self.problems.add(name, text):
                _log.warning("blobs cannot be copied to the replica", problem=text)
        return False

    async def _sweep_directories(self, *, copy: bool) -> tuple[int, int]:
        """Look at all local directories; return how many files and bytes the ledger lacked."""
        files = size = 0
        chunks = blob_directories.list_chunks(self._blobs, _CHUNK)

        async def compare(changed: tuple[BlobDirectory, int]) -> None:
            nonlocal files, size
            directory, mtime_ns = changed
            lacking = await self._comparison.compare(directory, mtime_ns, copy=copy)
            files, size = files + lacking[0], size + lacking[1]

        while True:
            async with Pace():
                chunk = await asyncio.to_thread(next, chunks, None)
                if chunk is None:
                    return files, size
                changed = [
                    (each, mtime)
                    for each, mtime in chunk
                    if not self._comparison.is_same(each, mtime)
                ]
            await for_each(changed, compare, at_once=_AT_ONCE)

    async def _sweep_ledger(self) -> None:
        """Look for directories that are gone."""
        after_id = 0
        while page := self._rows.directories(after_id=after_id, limit=_CHUNK):
            async with Pace():
                missing = await asyncio.to_thread(self._find_missing, page)
                for row_id, directory in missing:
                    await self._comparison.compare(directory, None, copy=False)
                    self._rows.delete_directory(row_id)
            after_id = page[-1][0]

    def _find_missing(
        self, page: Sequence[tuple[int, BlobDirectory]]
    ) -> list[tuple[int, BlobDirectory]]:
        find = blob_directories.mtime_ns_of
        return [(row_id, each) for row_id, each in page if find(self._blobs, each) is None]
