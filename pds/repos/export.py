"""All data of an account as one ZIP file, made while it is sent.

The repository is `repo.car`, each blob a file in `blobs/`. Blobs whose bytes are lost are listed in
`missing-blobs.txt`. Nothing is compressed: pictures are already.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from mimetypes import guess_extension
from typing import TYPE_CHECKING, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import orjson

from actor_store.blob_store.base import BlobFileMissing, OpenBlob
from actor_store.errors import BlobNotFound
from actor_store.reader import ActorStoreReader
from repo.cid import Cid
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

_BLOBS_AT_ONCE: Final = 500
_PART_BYTES: Final = 256 * 1024
_FILE_MODE: Final = 0o644 << 16

File = tuple[str, AsyncIterable[bytes]]


def measure(actor: ActorStoreReader) -> tuple[int, int, int, int]:
    """Return the numbers of records, blobs and missing blobs, and the bytes used. For a thread."""
    return (
        actor.record.count(),
        actor.blob.count_referenced(),
        actor.blob.count_missing(),
        actor.usage.used_bytes(),
    )


async def export_account(ctx: AppContext, did: Did) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of the ZIP file. Raises what `ActorStore.read` raises, and `BlobStoreError`.

    The repository comes from one snapshot. A blob that is deleted meanwhile counts as missing.
    """
    async with aclosing(_files(ctx, did)) as files:
        async for part in zipped(files):
            yield part


async def zipped(files: AsyncIterable[File]) -> AsyncIterator[bytes]:
    """Yield a ZIP file of `files`, which are names and contents, part by part."""
    sink = _Sink()
    archive = ZipFile(sink, "w", ZIP_STORED, allowZip64=True)
    try:
        async for name, parts in files:
            info = ZipInfo(name, time.gmtime()[:6])
            info.external_attr = _FILE_MODE
            # How long the file gets is not known when its header is written.
            with archive.open(info, "w", force_zip64=True) as member:
                async for part in parts:
                    member.write(part)
                    yield sink.take()
        # The directory at the end takes a second for 100,000 files.
        await asyncio.to_thread(archive.close)
    except BaseException:
        # Nobody waits for the directory, without which the file is seen to be cut off.
        sink.refuse()
        with suppress(_Refused):
            archive.close()
        raise
    directory = sink.take()
    for start in range(0, len(directory), _PART_BYTES):
        yield directory[start : start + _PART_BYTES]


class _Refused(Exception):
    """The sink takes nothing more."""


class _Sink:
    """A file that cannot go back, and gives away what is written to it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._refuses = False

    def write(self, part: bytes) -> int:
        if self._refuses:
            raise _Refused
        self._written.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is kept from the reader."""

    def close(self) -> None:
        """There is no more."""

    def refuse(self) -> None:
        """Take nothing more."""
        self._refuses = True

    def take(self) -> bytes:
        parts, self._written = self._written, []
        return b"".join(parts)


async def _files(ctx: AppContext, did: Did) -> AsyncGenerator[File, None]:
    async with aclosing(ctx.actor_store.stream(did, lambda actor: actor.repo.iter_car())) as car:
        yield "repo.car", car
    today = datetime.now(UTC).date()
    preferences = await ctx.actor_store.read(
        did, lambda actor: actor.pref.get(full_access=True, today=today)
    )
    yield "preferences.json", _once(orjson.dumps(preferences, option=orjson.OPT_INDENT_2))
    missing: list[Cid] = []
    async for cid in _cids(ctx, did):
        opened = await _open(ctx, did, cid)
        if opened is None:
            missing.append(cid)
            continue
        mime_type, blob = opened
        async with blob:
            yield f"blobs/{cid}{guess_extension(mime_type) or '.bin'}", blob
    if missing:
        yield "missing-blobs.txt", _once("".join(f"{cid}\n" for cid in missing).encode())


async def _cids(ctx: AppContext, did: Did) -> AsyncIterator[Cid]:
    cursor: str | None = None
    while True:

        def page(actor: ActorStoreReader, after: str | None = cursor) -> list[Cid]:
            return actor.blob.list_referenced(limit=_BLOBS_AT_ONCE, cursor=after, since=None)

        cids = await ctx.actor_store.read(did, page)
        for cid in cids:
            yield cid
        if len(cids) < _BLOBS_AT_ONCE:
            return
        cursor = str(cids[-1])


async def _open(ctx: AppContext, did: Did, cid: Cid) -> tuple[str, OpenBlob] | None:
    try:
        stored = await ctx.actor_store.read(did, lambda actor: actor.blob.get_servable(cid))
        return stored.mime_type, await ctx.blob_store.open(did, cid)
    except (BlobNotFound, BlobFileMissing):
        return None


async def _once(part: bytes) -> AsyncIterator[bytes]:
    yield part
