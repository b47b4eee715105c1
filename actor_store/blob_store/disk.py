"""Blobs as files on the local disk, in the reference PDS's layout.

::

    <blobs>/<did>/<cid>              permanent
    <tmp>/<did>/<key>                temporary; `tmp` may be on another file system
    <blobs>/quarantine/<did>/<cid>   taken down

A file appears under its final name complete or not at all. All disk access runs in a thread: a
small blob costs one hop, a large one a hop per batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable
from pathlib import Path

from actor_store.blob_store import disk_files as files
from actor_store.blob_store.base import BlobFileMissing, TempBlob, new_temp_key
from actor_store.blob_store.batches import receive
from actor_store.blob_store.disk_files import OpenFile
from actor_store.blob_store.disk_places import DiskPlaces
from actor_store.blob_store.disk_upload import UploadFile
from actor_store.blob_store.names import checked_did, checked_temp_key, is_did_name, is_temp_key
from actor_store.blob_store.places import Place
from database.open_files import OpenFiles
from repo.cid import Cid


class DiskBlobStore:
    """A `BlobStore` on the local disk."""

    def __init__(
        self,
        blobs: Path,
        tmp: Path | None = None,
        *,
        full_sync: bool = False,
        files: OpenFiles | None = None,
    ) -> None:
        """Store permanent files in `blobs`, temporary ones in `tmp` (default `<blobs>/tempt`).

        With `full_sync`, a file and its directories are synced before an upload completes and
        before it counts as permanent, so a power failure loses none. Without it, the system writes
        them eventually, as with SQLite's `synchronous=NORMAL`. `files` are the open files of the
        process.
        """
        self._blobs = blobs
        self._tmp = tmp if tmp is not None else blobs / "tempt"
        self._full_sync = full_sync
        self._files = OpenFiles() if files is None else files
        self.places = DiskPlaces(
            {
                Place.PERMANENT: blobs,
                Place.QUARANTINED: self._quarantine,
                Place.TEMPORARY: self._tmp,
            },
            full_sync=full_sync,
            files=self._files,
        )
        """The files by where they lie."""

    def path(self, did: str, cid: Cid) -> Path:
        """Return the path of the permanent file, existing or not. Raises `InvalidBlobName`."""
        return self._blobs / checked_did(did) / str(cid)

    async def put_temp(self, did: str, chunks: AsyncIterable[bytes], *, max_bytes: int) -> TempBlob:
        """See `BlobStore.put_temp`."""
        await self._files.until_room(1)
        key = new_temp_key()
        upload = UploadFile(self._temp_path(did, key), full_sync=self._full_sync)
        try:
            return await receive(
                chunks,
                write=lambda *batch: asyncio.to_thread(upload.write, *batch),
                finish=lambda *batch: asyncio.to_thread(upload.finish, *batch),
                key=key,
                max_bytes=max_bytes,
            )
        except BaseException:
            # A thread may still be writing. `abandon` waits for it, so it must not run here. It
            # runs to completion even if this task is cancelled again.
            await asyncio.shield(asyncio.to_thread(upload.abandon))
            raise

    async def make_permanent(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_permanent`."""
        temp, final = self._temp_path(did, key), self.path(did, cid)
        if not await asyncio.to_thread(files.promote, temp, final, full_sync=self._full_sync):
            raise BlobFileMissing(did, str(cid))

    async def discard_temp(self, did: str, key: str) -> None:
        """See `BlobStore.discard_temp`."""
        await asyncio.to_thread(self._temp_path(did, key).unlink, missing_ok=True)

    async def make_temporary(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_temporary`."""
        await asyncio.to_thread(files.move, self.path(did, cid), self._temp_path(did, key))

    async def list_temp(self, did: str, *, before_s: float) -> list[str]:
        """See `BlobStore.list_temp`."""
        directory = self._tmp / checked_did(did)
        names = await asyncio.to_thread(files.list_old, directory, before_s=before_s)
        return [name for name in names if is_temp_key(name)]

    async def list_temp_dids(self) -> list[str]:
        """See `BlobStore.list_temp_dids`."""
        names = await asyncio.to_thread(files.list_names, self._tmp)
        return [name for name in names if is_did_name(name)]

    async def open(self, did: str, cid: Cid) -> OpenFile:
        """See `BlobStore.open`."""
        try:
            async with self._files.room(1):
                return await asyncio.to_thread(OpenFile, self.path(did, cid))
        except FileNotFoundError as exc:
            raise BlobFileMissing(did, str(cid)) from exc

    async def delete(self, did: str, cids: Iterable[Cid]) -> None:
        """See `BlobStore.delete`."""
        paths = [self.path(did, cid) for cid in cids]
        if paths:
            await asyncio.to_thread(files.delete, paths)

    async def delete_all(self, did: str) -> None:
        """See `BlobStore.delete_all`."""
        name = checked_did(did)
        for parent in (self._blobs, self._tmp, self._quarantine):
            await asyncio.to_thread(files.delete_tree, parent / name)

    async def quarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.quarantine`."""
        await asyncio.to_thread(files.move, self.path(did, cid), self._quarantined(did, cid))

    async def unquarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.unquarantine`."""
        await asyncio.to_thread(files.move, self._quarantined(did, cid), self.path(did, cid))

    async def close(self) -> None:
        """Do nothing: no file is held open between calls."""

    @property
    def _quarantine(self) -> Path:
        return self._blobs / "quarantine"

    def _quarantined(self, did: str, cid: Cid) -> Path:
        return self._quarantine / checked_did(did) / str(cid)

    def _temp_path(self, did: str, key: str) -> Path:
        return self._tmp / checked_did(did) / checked_temp_key(key)
