"""All data of an account as one ZIP file, made while it is sent.

The repository is `repo.car`, each blob a file in `blobs/`. Blobs whose bytes are lost are listed in
`missing-blobs.txt`. Nothing is compressed: pictures are already. So the length is known before, and
browsers show how far they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from mimetypes import guess_extension
from typing import TYPE_CHECKING, Final
from zipfile import ZipInfo

import orjson

from actor_store.blob_store.base import BlobFileMissing, OpenBlob
from actor_store.errors import BlobNotFound
from actor_store.reader import ActorStoreReader
from pds.repos.zipped import planned_file, zip_bytes, zipped
from repo.cid import Cid
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

_EVERYTHING: Final = -1
_MISSING_NAME: Final = "missing-blobs.txt"


def measure(actor: ActorStoreReader) -> tuple[int, int, int, int]:
    """Return the numbers of records, blobs and missing blobs, and the bytes used. For a thread."""
    return (
        actor.record.count(),
        actor.blob.count_referenced(),
        actor.blob.count_missing(),
        actor.usage.used_bytes(),
    )


class AccountExport:
    """The ZIP file of an account, as one snapshot has it."""

    def __init__(self, ctx: AppContext, did: Did) -> None:
        """Use `open_export`."""
        self._ctx = ctx
        self._did = did
        self._preferences = b""
        self._repo = self._preferences_file = planned_file("", 0)
        self._blobs: list[tuple[Cid, ZipInfo]] = []
        self._missing: list[Cid] = []
        self.size_bytes = 0
        """The length of the ZIP file."""

    def read(self, actor: ActorStoreReader) -> Iterator[bytes]:
        """Plan the file, yield an empty part, and then the repository as a CAR. For a thread."""
        self._repo = planned_file("repo.car", actor.repo.car_bytes())
        today = datetime.now(UTC).date()
        preferences = actor.pref.get(full_access=True, today=today)
        self._preferences = orjson.dumps(preferences, option=orjson.OPT_INDENT_2)
        self._preferences_file = planned_file("preferences.json", len(self._preferences))
        for cid in actor.blob.list_referenced(limit=_EVERYTHING):
            try:
                stored = actor.blob.get_servable(cid)
            except BlobNotFound:
                self._missing.append(cid)
            else:
                name = f"blobs/{cid}{guess_extension(stored.mime_type) or '.bin'}"
                self._blobs.append((cid, planned_file(name, stored.size)))
        planned = [self._repo, self._preferences_file, *(info for _, info in self._blobs)]
        if self._missing:
            planned.append(planned_file(_MISSING_NAME, len(_listed(self._missing))))
        self.size_bytes = zip_bytes(planned)
        yield b""
        yield from actor.repo.iter_car()

    async def files(
        self, car: AsyncIterable[bytes]
    ) -> AsyncGenerator[tuple[ZipInfo, AsyncIterable[bytes]], None]:
        """Yield the files and their contents, which must be read before the next is asked for."""
        yield self._repo, car
        yield self._preferences_file, _once(self._preferences)
        written = [self._repo, self._preferences_file]
        lost: list[Cid] = []
        for cid, info in self._blobs:
            blob = await self._open(cid, info.file_size)
            if blob is None:
                lost.append(cid)
                continue
            written.append(info)
            async with blob:
                yield info, blob
        if missing := sorted([*self._missing, *lost], key=str):
            text = _listed(missing)
            info = planned_file(_MISSING_NAME, len(text))
            if lost:
                info.file_size = await asyncio.to_thread(self._left_bytes, written)
            yield info, _padded(text, info.file_size)

    def _left_bytes(self, written: list[ZipInfo]) -> int:
        """Return how long the list of missing blobs must be for the length that was promised."""
        left = planned_file(_MISSING_NAME, 0)
        left.file_size = self.size_bytes - zip_bytes([*written, left])
        # Beyond 2 GiB, it needs more space in the directory.
        left.file_size -= zip_bytes([*written, left]) - self.size_bytes
        return left.file_size

    async def _open(self, cid: Cid, size_bytes: int) -> OpenBlob | None:
        try:
            # It may have been taken down, or deleted, in the meantime.
            await self._ctx.actor_store.read(self._did, lambda actor: actor.blob.get_servable(cid))
            blob = await self._ctx.blob_store.open(self._did, cid)
        except (BlobNotFound, BlobFileMissing):
            return None
        if blob.size == size_bytes:
            return blob
        await blob.close()
        return None


@asynccontextmanager
async def open_export(
    ctx: AppContext, did: Did
) -> AsyncIterator[tuple[int, AsyncGenerator[bytes, None]]]:
    """Open the ZIP file of an account: its length in bytes, and its parts.

    Raises what `ActorStore.read` raises, and the parts `BlobStoreError`. A blob that is deleted
    meanwhile counts as missing; blank lines in the list of these take its place.
    """
    export = AccountExport(ctx, did)
    async with aclosing(ctx.actor_store.stream(did, export.read)) as car:
        await anext(car)
        yield export.size_bytes, _parts(export, car)


async def _parts(export: AccountExport, car: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    async with aclosing(export.files(car)) as files:
        async for part in zipped(files):
            yield part


def _listed(cids: list[Cid]) -> bytes:
    return "".join(f"{cid}\n" for cid in cids).encode()


async def _padded(text: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    yield text
    part = b"\n" * 65536
    for start in range(len(text), size_bytes, len(part)):
        yield part[: size_bytes - start]


async def _once(part: bytes) -> AsyncIterator[bytes]:
    yield part
