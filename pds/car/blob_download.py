"""Downloading a repository's blobs: each is fetched once, and kept only if its hash matches."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from pds.car.account_lookup import Account
from pds.car.remote import RemoteFailure, Retries
from pds.reporting import Progress
from repo.datamodel import BlobRef

FETCHING_BLOBS: Final = "blobs"
MAX_BLOB_BYTES: Final = 4 * 1024**3
"""Largest blob to fetch, because the sizes claimed by records are arbitrary."""
_AT_ONCE: Final = 4


@dataclass(slots=True)
class BlobCounts:
    """The outcome by number of blobs."""

    fetched: int = 0
    present: int = 0
    """Files that already existed."""
    failed: int = 0


@dataclass(slots=True, frozen=True)
class BlobDownload:
    """Fetches blobs of an account into `directory`, as `<did>/<cid>`."""

    account: Account
    directory: Path
    note_failure: Callable[[str], None]
    """Called with the CID of an unavailable blob and the reason."""
    retries: Retries
    progress: Progress

    async def run(self, refs: Iterable[BlobRef], *, total: int) -> BlobCounts:
        """Fetch every missing blob, a few at once. Raises `OSError`."""
        directory = self.directory / self.account.did
        directory.mkdir(parents=True, exist_ok=True)
        counts = BlobCounts()
        waiting = iter(refs)

        async def work() -> None:
            for ref in waiting:
                await self._have(ref, directory, counts)
                done = counts.fetched + counts.present + counts.failed
                self.progress(FETCHING_BLOBS, done, total)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.create_task(work())
        except BaseExceptionGroup as group:
            # Most likely a full disk; the failure has cancelled the others.
            raise group.exceptions[0] from group
        return counts

    async def _have(self, ref: BlobRef, directory: Path, counts: BlobCounts) -> None:
        path = directory / str(ref.cid)
        if path.exists():
            counts.present += 1
            return
        try:
            if not ref.cid.is_blessed:
                raise RemoteFailure("its CID has no SHA-256 to check it with")
            await self.retries.run(lambda: self._fetch(ref, path))
            counts.fetched += 1
        except RemoteFailure as exc:
            counts.failed += 1
            self.note_failure(f"blob {ref.cid}: {exc}")

    async def _fetch(self, ref: BlobRef, path: Path) -> None:
        part = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with part.open("xb") as file:
                digest = await self._receive(ref, file)
            if digest != ref.cid.raw[4:]:
                raise RemoteFailure("what the server sends does not hash to the CID")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    async def _receive(self, ref: BlobRef, file: BinaryIO) -> bytes:
        """Write the blob to `file`. Return its SHA-256."""
        digest = hashlib.sha256()
        size = 0
        stream = self.account.pds.stream(
            "com.atproto.sync.getBlob", did=self.account.did, cid=str(ref.cid)
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > MAX_BLOB_BYTES:
                    raise RemoteFailure(f"it has more than {MAX_BLOB_BYTES:,} bytes")
                digest.update(chunk)
                file.write(chunk)
        return digest.digest()
