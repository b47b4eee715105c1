"""Garbage collection: deleting stored blobs that no manifest refers to.

Work is done in pages, in two phases. A run may stop after any page; a cursor says where the next
page begins, also after a restart.

1. Manifests. On request, each is looked up in its user's repository; if its record is gone, its
   layer records are deleted. A manifest of which only layer records are known, after hold.sqlite
   was lost, is looked up to learn of its config; until that works nothing is deleted.
2. Blobs. One is garbage if no layer record and no remembered manifest names it, no upload has it,
   and for a grace period it was neither stored, nor asked for, nor referred to. A blob that this
   hold has not received itself, such as one in a bucket that was taken over, is kept unless the
   operator says otherwise.

The decision to delete is made in one step of the event loop; from then on, clients that ask for the
blob, upload it or name it in a manifest are told that it is gone (`oci.blobs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from database.retry import write
from pds.hold.gc.manifest_phase import ManifestPhase
from pds.hold.oci.digest import Digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from database.connection import Database
    from pds.hold.images.blob_use import BlobUse
    from pds.hold.oci.blobs import Blobs
    from pds.hold.oci.storage import OciStorage, StoredBlob

PAGE: Final = 500
"""Blobs that one page looks at."""
_DELETED_AT_ONCE: Final = 100
_RECEIVED: Final = "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?)"
_UPLOADED: Final = "SELECT EXISTS (SELECT 1 FROM upload WHERE digest = ?)"
_MANIFESTS: Final = "manifests"
_BLOBS: Final = "blobs"


class InvalidGcCursor(ValueError):
    """The cursor is not one that a page has returned."""


@dataclass(frozen=True, slots=True)
class GcOptions:
    """What garbage collection may do; by default it only counts."""

    delete: bool = False
    """Whether anything is deleted, records or blobs."""
    check_manifests: bool = False
    """Whether to look up all manifests in the repositories of their users."""
    unknown_origin: bool = False
    """Whether to also delete blobs that this hold has not received itself."""


@dataclass(frozen=True, slots=True)
class GcCounts:
    """What was found and done. Without `delete`, what would be done."""

    manifests: int = 0
    manifests_gone: int = 0
    """Their records do not exist any more."""
    manifests_unclear: int = 0
    """No server gave a clear answer about them, so they count as existing."""
    layer_records_deleted: int = 0
    blobs: int = 0
    bytes: int = 0
    garbage: int = 0
    garbage_bytes: int = 0
    deleted: int = 0
    deleted_bytes: int = 0
    kept_recent: int = 0
    """Garbage within its grace period."""
    kept_unknown: int = 0
    """Garbage that this hold has not received itself."""

    def __add__(self, other: GcCounts) -> GcCounts:
        names = [field.name for field in fields(self)]
        return GcCounts(*(getattr(self, name) + getattr(other, name) for name in names))


@dataclass(frozen=True, slots=True)
class GcPage:
    """The outcome of a page; the cursor is None if it was the last."""

    counts: GcCounts
    cursor: str | None
    unresolved: int
    """Manifests so far whose configs are not known; if there is one, no blob is deleted."""


class GarbageCollector:
    """Collects garbage, one page at a time. Belongs to one event loop."""

    def __init__(
        self,
        db: Database,
        *,
        storage: OciStorage,
        blobs: Blobs,
        use: BlobUse,
        manifests: ManifestPhase,
    ) -> None:
        self._db = db
        self._storage = storage
        self._blobs = blobs
        self._use = use
        self._manifests = manifests
        self._lock = asyncio.Lock()
        self._listing: tuple[str, AsyncGenerator[StoredBlob, None]] | None = None

    async def page(self, options: GcOptions, cursor: str | None = None) -> GcPage:
        """Do one page after `cursor`. Raises `InvalidGcCursor`, and errors of stores."""
        phase, unresolved, after = _parse_cursor(cursor)
        async with self._lock:
            if phase == _MANIFESTS:
                return await self._manifest_page(options, unresolved, after)
            return await self._blob_page(options, unresolved, after)

    async def run(
        self,
        options: GcOptions,
        *,
        progress: Callable[[GcCounts], Awaitable[None]] | None = None,
    ) -> GcPage:
        """Do all pages; `progress` gets the counts after each. Returns the sum."""
        counts, cursor = GcCounts(), None
        while True:
            page = await self.page(options, cursor)
            counts, cursor = counts + page.counts, page.cursor
            if progress is not None:
                await progress(counts)
            if cursor is None:
                return replace(page, counts=counts)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop listing."""
        await self._end_listing()

    async def _manifest_page(self, options: GcOptions, unresolved: int, after: str) -> GcPage:
        done = await self._manifests.page(
            after, check_all=options.check_manifests, delete=options.delete
        )
        unresolved += done.unresolved
        counts = GcCounts(
            manifests=done.manifests,
            manifests_gone=done.gone,
            manifests_unclear=done.unclear,
            layer_records_deleted=done.layer_records,
        )
        if done.last is None:
            return GcPage(counts, _cursor(_BLOBS, unresolved, ""), unresolved)
        return GcPage(counts, _cursor(_MANIFESTS, unresolved, done.last), unresolved)

    async def _blob_page(self, options: GcOptions, unresolved: int, after: str) -> GcPage:
        blobs = await self._list(after)
        await self._manifests.follow()
        counts = GcCounts()
        garbage: list[StoredBlob] = []
        for blob in blobs:
            kind = self._judge(blob, options)
            counts += GcCounts(
                blobs=1,
                bytes=blob.size_bytes,
                garbage=kind == "garbage",
                garbage_bytes=blob.size_bytes if kind == "garbage" else 0,
                kept_recent=kind == "recent",
                kept_unknown=kind == "unknown",
            )
            if kind == "garbage":
                garbage.append(blob)
        if options.delete and not unresolved:
            for start in range(0, len(garbage), _DELETED_AT_ONCE):
                counts += await self._delete(garbage[start : start + _DELETED_AT_ONCE], options)
        cursor = _cursor(_BLOBS, unresolved, blobs[-1].digest) if len(blobs) == PAGE else None
        return GcPage(counts, cursor, unresolved)

    def _judge(self, blob: StoredBlob, options: GcOptions) -> str:
        """Return `used`, `recent`, `unknown` or `garbage`."""
        since_ms = self._use.kept_since_ms()
        if self._use.is_referred(blob.digest) or self._db.value(_UPLOADED, (blob.digest,)):
            return "used"
        if blob.stored_at_s * 1000 > since_ms or self._use.is_recent(blob.digest):
            return "recent"
        if self._db.value(_RECEIVED, (blob.digest,)):
            return "garbage"
        # Nobody knows the configs of images whose layer records name no manifest.
        if not options.unknown_origin or self._manifests.has_unlinked_layers():
            return "unknown"
        return "garbage"

    async def _delete(self, garbage: Sequence[StoredBlob], options: GcOptions) -> GcCounts:
        """Delete those that are still garbage."""
        await self._manifests.follow()
        by_digest = {blob.digest: blob for blob in garbage}

        def is_in_use(digest: Digest) -> bool:
            return self._judge(by_digest[digest], options) != "garbage"

        deleted = await self._blobs.delete(list(by_digest), unless=is_in_use)
        # After the blobs, so that one whose deletion has failed is still known as received here.
        await write(
            self._db,
            lambda: self._db.many("DELETE FROM blob WHERE digest = ?", [(one,) for one in deleted]),
        )
        size = sum(by_digest[digest].size_bytes for digest in deleted)
        return GcCounts(deleted=len(deleted), deleted_bytes=size)

    async def _list(self, after: str) -> list[StoredBlob]:
        """Return the next blobs in the order of the store, which is that of digests."""
        if self._listing is None or self._listing[0] != after:
            await self._end_listing()
            self._listing = after, _after(self._storage, after)
        _, listing = self._listing
        self._listing = None
        blobs: list[StoredBlob] = []
        try:
            while len(blobs) < PAGE:
                blobs.append(await anext(listing))
        except StopAsyncIteration:
            return blobs
        except BaseException:
            await listing.aclose()
            raise
        self._listing = blobs[-1].digest, listing
        return blobs

    async def _end_listing(self) -> None:
        if self._listing is not None:
            _, listing = self._listing
            self._listing = None
            await listing.aclose()


async def _after(storage: OciStorage, after: str) -> AsyncGenerator[StoredBlob, None]:
    async for blob in storage.list():
        if blob.digest > after:
            yield blob


def _cursor(phase: str, unresolved: int, after: str) -> str:
    return f"{phase} {unresolved} {after}"


def _parse_cursor(cursor: str | None) -> tuple[str, int, str]:
    if cursor is None:
        return _MANIFESTS, 0, ""
    phase, _, rest = cursor.partition(" ")
    unresolved, _, after = rest.partition(" ")
    if phase not in (_MANIFESTS, _BLOBS) or not (unresolved.isascii() and unresolved.isdecimal()):
        raise InvalidGcCursor(f"not a cursor of garbage collection: {cursor[:100]!r}")
    return phase, int(unresolved[:18]), after
