"""Blobs of one actor: uploads, the records that refer to them, and takedowns.

This module handles the rows; the bytes are in a `blob_store.BlobStore`. A `blob` row with a
`tempKey` is an upload that no record mentions yet; without one, its bytes are permanent, under the
CID.

A commit takes these steps, and awaits only between them:

1. `BlobReader.check_refs(refs)` checks every reference and returns those still temporary;
2. `BlobStore.make_permanent` for those;
3. in the transaction, `BlobTransactor.apply_writes(...)` updates the rows;
4. after it, `BlobStore.delete` for `BlobChanges.unused` and `discard_temp` for `.orphaned_keys`.

The actor's blob lock is held from 1 to 4. Otherwise step 4 of one commit could delete bytes that
another commit, between its steps 2 and 3, has just made permanent.

Errors (all `ActorStoreError`)::

    BlobNotFound      the blob does not exist, or may not be referred to or served
    BlobTakendown     a moderator has taken these bytes down: they cannot be uploaded again
    InvalidMimeType   a reference's media type differs from the upload's
    InvalidSize       a reference's size differs from the upload's
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from actor_store.errors import BlobNotFound, BlobTakendown, InvalidMimeType, InvalidSize
from repo.cid import Cid

if TYPE_CHECKING:
    from actor_store.blob_store.base import TempBlob
    from database.connection import Database
    from repo.datamodel import BlobRef

_COLUMNS: Final = "cid, mimeType, size, tempKey, takedownRef, createdAt"
# A loose index scan: one step per blob, where DISTINCT would visit every reference.
_REFERENCED: Final = (
    "WITH RECURSIVE found (cid) AS (SELECT min(blobCid) FROM record_blob WHERE blobCid > ?"
    " UNION ALL SELECT (SELECT min(blobCid) FROM record_blob WHERE blobCid > found.cid)"
    " FROM found WHERE found.cid IS NOT NULL)"
    " SELECT cid FROM found WHERE cid IS NOT NULL LIMIT ?"
)
_REFERENCED_SINCE: Final = (
    "SELECT DISTINCT record_blob.blobCid FROM record_blob"
    " JOIN record ON record.uri = record_blob.recordUri"
    " WHERE record_blob.blobCid > ? AND record.repoRev > ?"
    " ORDER BY record_blob.blobCid LIMIT ?"
)
_IS_MISSING: Final = (
    "NOT EXISTS (SELECT 1 FROM blob WHERE blob.cid = record_blob.blobCid AND tempKey IS NULL)"
)
_IS_UNUSED: Final = (
    "createdAt < ? AND takedownRef IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM record_blob WHERE record_blob.blobCid = blob.cid)"
)


@dataclass(slots=True, frozen=True)
class StoredBlob:
    """A row of the `blob` table."""

    cid: Cid
    mime_type: str
    size: int
    """Length in bytes."""
    temp_key: str | None
    """The key of the bytes while no record refers to the blob; None once permanent."""
    takedown_ref: str | None
    created_at: str


@dataclass(slots=True, frozen=True)
class TempRef:
    """A still temporary blob to which a record is about to refer."""

    cid: Cid
    key: str


@dataclass(slots=True, frozen=True)
class MissingBlob:
    """A blob that a record refers to but whose bytes are not stored here."""

    cid: Cid
    record_uri: str


@dataclass(slots=True, frozen=True)
class TrackedUpload:
    """The outcome of tracking an upload: what to do with its bytes."""

    promote: TempRef | None
    """Set if records already refer to the blob: make it permanent, then `mark_permanent`."""
    orphaned_key: str | None
    """Temporary bytes that no row refers to any more: discard them."""


@dataclass(slots=True, frozen=True)
class BlobChanges:
    """Bytes that a commit left unused, to be deleted after the transaction."""

    unused: tuple[Cid, ...]
    """CIDs whose rows are gone: delete the permanent bytes."""
    orphaned_keys: tuple[str, ...]
    """Keys of temporary bytes that no row refers to any more."""


@dataclass(slots=True, frozen=True)
class SweptUploads:
    """Deleted uploads that no record referred to."""

    uploads: int = 0
    size_bytes: int = 0
    """Total size of these uploads."""
    parts: int = 0
    """Files left by interrupted uploads."""

    def __add__(self, other: SweptUploads) -> SweptUploads:
        return SweptUploads(
            self.uploads + other.uploads,
            self.size_bytes + other.size_bytes,
            self.parts + other.parts,
        )


@dataclass(slots=True, frozen=True)
class BlobTotals:
    """Totals of all blobs of an actor, including temporary ones."""

    count: int
    size_bytes: int


class BlobReader:
    """Reads the blob rows of one actor."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._totals: BlobTotals | None = None
        self._totals_version = 0

    def find(self, cid: Cid) -> StoredBlob | None:
        """Return a blob's row, whatever its state, or None."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM blob WHERE cid = ?", (str(cid),))
        return None if row is None else _blob_of(row)

    def list_largest(self, *, limit: int) -> list[StoredBlob]:
        """Return the largest blobs in any state, largest first. Scans the table: use a thread."""
        rows = self._db.all(
            f"SELECT {_COLUMNS} FROM blob ORDER BY size DESC, cid LIMIT ?", (limit,)
        )
        return [_blob_of(row) for row in rows]

    def get_servable(self, cid: Cid) -> StoredBlob:
        """Return a blob that may be served: permanent, not taken down. Raises `BlobNotFound`."""
        blob = self.find(cid)
        if blob is None or blob.temp_key is not None or blob.takedown_ref is not None:
            raise BlobNotFound(cid)
        return blob

    def check_refs(self, refs: Iterable[BlobRef]) -> tuple[TempRef, ...]:
        """Check the blobs that new records refer to. Return those whose bytes are still temporary.

        Raises `BlobNotFound` for an unknown or taken-down blob. For a temporary blob, raises
        `InvalidMimeType` or `InvalidSize` if the reference differs from the upload.
        """
        temporary: dict[Cid, TempRef] = {}
        for ref in refs:
            blob = self.find(ref.cid)
            if blob is None or blob.takedown_ref is not None:
                raise BlobNotFound(ref.cid)
            if blob.temp_key is None:
                continue  # Like the reference, do not compare a permanent blob again.
            if ref.mime_type != blob.mime_type:
                raise InvalidMimeType(expected=blob.mime_type, found=ref.mime_type)
            if ref.size != blob.size:
                raise InvalidSize(expected=blob.size, found=ref.size)
            temporary[ref.cid] = TempRef(ref.cid, blob.temp_key)
        return tuple(temporary.values())

    def list_referenced(
        self, *, limit: int, cursor: str | None = None, since: str | None = None
    ) -> list[Cid]:
        """Return the CIDs that records refer to, in ascending text order, after `cursor`.

        With `since` (a rev), only those referred to by a record written after it; that may scan
        every reference, so use a thread. Used by com.atproto.sync.listBlobs.
        """
        if since is None:
            rows = self._db.all(_REFERENCED, (cursor or "", limit))
        else:
            rows = self._db.all(_REFERENCED_SINCE, (cursor or "", since, limit))
        return [Cid.parse(text) for (text,) in rows]

    def list_missing(self, *, limit: int, cursor: str | None = None) -> list[MissingBlob]:
        """Return referenced blobs that were not uploaded, ascending by CID after `cursor`.

        Names one record for each. A referenced upload that is still temporary counts as missing:
        making it permanent was interrupted, and uploading it again completes that. Use a thread,
        as this may scan every reference. Used by com.atproto.repo.listMissingBlobs.
        """
        rows = self._db.all(
            f"SELECT blobCid, min(recordUri) FROM record_blob WHERE blobCid > ? AND {_IS_MISSING}"
            " GROUP BY blobCid ORDER BY blobCid LIMIT ?",
            (cursor or "", limit),
        )
        return [MissingBlob(Cid.parse(text), uri) for text, uri in rows]

    def count_missing(self) -> int:
        """Return the total number of blobs that `list_missing` lists."""
        sql = f"SELECT count(DISTINCT blobCid) FROM record_blob WHERE {_IS_MISSING}"
        return int(self._db.value(sql))

    def find_temp(self, key: str) -> Cid | None:
        """Return the blob whose bytes are temporary under this key, or None."""
        text = self._db.value("SELECT cid FROM blob WHERE tempKey = ?", (key,))
        return None if text is None else Cid.parse(text)

    def list_awaited(self) -> list[TempRef]:
        """Return the uploads that records refer to although their bytes are still temporary."""
        rows = self._db.all(
            "SELECT cid, tempKey FROM blob WHERE tempKey IS NOT NULL AND takedownRef IS NULL"
            " AND EXISTS (SELECT 1 FROM record_blob WHERE blobCid = blob.cid)"
        )
        return [TempRef(Cid.parse(text), key) for text, key in rows]

    def list_unused(self, *, before: str, limit: int) -> list[Cid]:
        """Return unreferenced uploads from before a time (ISO 8601). Scans the table."""
        rows = self._db.all(f"SELECT cid FROM blob WHERE {_IS_UNUSED} LIMIT ?", (before, limit))
        return [Cid.parse(text) for (text,) in rows]

    def list_temp_keys(self) -> frozenset[str]:
        """Return the keys of all temporary bytes that have a row."""
        rows = self._db.all("SELECT tempKey FROM blob WHERE tempKey IS NOT NULL")
        return frozenset(key for (key,) in rows)

    def records_with(self, cid: Cid, *, limit: int = -1) -> list[str]:
        """Return URIs of records that refer to a blob, ascending; the first `limit`, or all."""
        rows = self._db.all(
            "SELECT recordUri FROM record_blob WHERE blobCid = ? ORDER BY recordUri LIMIT ?",
            (str(cid), limit),
        )
        return [uri for (uri,) in rows]

    def is_referenced(self, cid: Cid) -> bool:
        """Whether any record refers to the blob."""
        row = self._db.one("SELECT 1 FROM record_blob WHERE blobCid = ? LIMIT 1", (str(cid),))
        return row is not None

    def totals(self) -> BlobTotals:
        """Return the number of blobs and their total size, from the cache while it is valid."""
        # Changes with every commit of another connection, in this process or another one.
        version = self._db.value("PRAGMA data_version")
        if self._totals is None or self._totals_version != version:
            row = self._db.one("SELECT count(*), coalesce(sum(size), 0) FROM blob") or (0, 0)
            self._totals = BlobTotals(*row)
            self._totals_version = version
        return self._totals

    def count(self) -> int:
        """Return the number of uploaded blobs, including temporary ones."""
        return int(self._db.value("SELECT count(*) FROM blob"))

    def count_referenced(self) -> int:
        """Return the number of distinct blobs that records refer to."""
        return int(self._db.value("SELECT count(DISTINCT blobCid) FROM record_blob"))


class BlobTransactor(BlobReader):
    """Writes the blob rows of one actor. Every method needs an open transaction."""

    def track_upload(self, temp: TempBlob, *, mime_type: str, created_at: str) -> TrackedUpload:
        """Insert a finished upload. Raises `BlobTakendown` if its bytes have been taken down.

        A known blob keeps its media type and size; if no record refers to it, it counts as new.
        `created_at` is ISO 8601 in UTC with milliseconds.
        """
        known = self.find(temp.cid)
        if known is not None and known.takedown_ref is not None:
            raise BlobTakendown(temp.cid)
        if known is not None and known.temp_key is None:
            if not self.is_referenced(temp.cid):
                self._db.run(
                    "UPDATE blob SET createdAt = ? WHERE cid = ?", (created_at, str(temp.cid))
                )
            return TrackedUpload(promote=None, orphaned_key=temp.key)
        self._db.run(
            "INSERT INTO blob (cid, mimeType, size, tempKey, createdAt) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (cid) DO UPDATE"
            " SET tempKey = excluded.tempKey, createdAt = excluded.createdAt",
            (str(temp.cid), mime_type, temp.size, temp.key, created_at),
        )
        if known is None:
            self._change_totals(1, temp.size)
        return TrackedUpload(
            promote=TempRef(temp.cid, temp.key) if self.is_referenced(temp.cid) else None,
            orphaned_key=known.temp_key if known is not None else None,
        )

    def mark_permanent(self, cid: Cid) -> None:
        """Record that a blob's bytes are permanent."""
        self._db.run("UPDATE blob SET tempKey = NULL WHERE cid = ?", (str(cid),))

    def apply_writes(
        self,
        *,
        replaced_uris: Sequence[str],
        refs: Sequence[tuple[str, BlobRef]],
        made_permanent: Iterable[TempRef] = (),
    ) -> BlobChanges:
        """Update the rows for a commit. Return the bytes that are now unused.

        `replaced_uris` are the updated or deleted records. `refs` are pairs of a record URI and a
        blob it now refers to. `made_permanent` is the result of `check_refs`, which the caller has
        since made permanent. Raises like `check_refs`, and `BlobNotFound` if a temporary blob is
        not in `made_permanent`.
        """
        made = {ref.cid: ref.key for ref in made_permanent}
        before = self._drop_references(replaced_uris)
        orphaned: list[str] = []
        for ref in self.check_refs(blob for _, blob in refs):
            if ref.cid not in made:
                raise BlobNotFound(ref.cid)
            if made[ref.cid] != ref.key:
                orphaned.append(ref.key)  # Uploaded again in the meantime.
            self.mark_permanent(ref.cid)
        for uri, blob in refs:
            self.add_reference(uri, blob.cid)
        unused = tuple(cid for cid in before if not self.is_referenced(cid))
        for cid in unused:
            size = self._db.value("DELETE FROM blob WHERE cid = ? RETURNING size", (str(cid),))
            if size is not None:
                self._change_totals(-1, -size)
        return BlobChanges(unused, tuple(orphaned))

    def add_reference(self, record_uri: str, cid: Cid) -> None:
        """Record a reference to a blob, which may be unknown (importRepo)."""
        self._db.run(
            "INSERT INTO record_blob (blobCid, recordUri) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (str(cid), record_uri),
        )

    def drop_unused(self, cids: Iterable[Cid], *, before: str) -> tuple[BlobChanges, int]:
        """Delete the rows of those `cids` that are unreferenced and were uploaded `before` a time.

        Returns the bytes that are now unused, and their size.
        """
        unused: list[Cid] = []
        keys: list[str] = []
        size_bytes = 0
        for cid in cids:
            row = self._db.one(
                f"DELETE FROM blob WHERE cid = ? AND {_IS_UNUSED} RETURNING tempKey, size",
                (str(cid), before),
            )
            if row is None:
                continue  # A record refers to it by now, or it was uploaded again.
            key, size = row
            unused.append(cid)
            keys += [] if key is None else [key]
            size_bytes += size
        self._change_totals(-len(unused), -size_bytes)
        return BlobChanges(tuple(unused), tuple(keys)), size_bytes

    def set_takedown(self, cid: Cid, takedown_ref: str | None) -> str | None:
        """Take a blob down, or reverse the takedown (None). Raises `BlobNotFound`.

        Returns the stored reference, which is that of the first takedown.
        """
        row = self._db.one(
            "UPDATE blob SET takedownRef = iif(?1 IS NULL, NULL, coalesce(takedownRef, ?1))"
            " WHERE cid = ?2 RETURNING takedownRef",
            (takedown_ref, str(cid)),
        )
        if row is None:
            raise BlobNotFound(cid)
        kept: str | None = row[0]
        return kept

    def forget_totals(self) -> None:
        """Invalidate the cached totals, because the transaction was rolled back."""
        self._totals = None

    def _change_totals(self, count: int, size_bytes: int) -> None:
        known = self._totals
        if known is not None:
            self._totals = BlobTotals(known.count + count, known.size_bytes + size_bytes)

    def _drop_references(self, uris: Sequence[str]) -> list[Cid]:
        """Delete the references of these records. Return their CIDs."""
        if not uris:
            return []
        # One pass for all records: the table has no index by record.
        places = ", ".join("?" * len(uris))
        rows = self._db.all(
            f"DELETE FROM record_blob WHERE recordUri IN ({places}) RETURNING blobCid", tuple(uris)
        )
        return [Cid.parse(text) for text in dict.fromkeys(text for (text,) in rows)]


def _blob_of(row: tuple[Any, ...]) -> StoredBlob:
    text, mime_type, size, temp_key, takedown_ref, created_at = row
    return StoredBlob(Cid.parse(text), mime_type, size, temp_key, takedown_ref, created_at)
