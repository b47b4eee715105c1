"""Blobs of one actor: which are uploaded, which records mention them, which are taken down.

This module is about rows; the bytes are in a `blob_store.BlobStore`. A `blob` row with a `tempKey`
is an upload that no record mentions yet; without one its bytes are permanent, under the CID.

A commit takes these steps, and awaits only between them:

1. `BlobReader.check_refs(refs)` – every reference is known and fits; which are still temporary;
2. `BlobStore.make_permanent` for those;
3. in the transaction, `BlobTransactor.apply_writes(...)` – the rows;
4. after it, `BlobStore.delete` for `BlobChanges.unused` and `discard_temp` for `.orphaned_keys`.

The actor's blob lock is held from 1 to 4. Without it, step 4 of one commit could delete the bytes
that another, between its steps 2 and 3, has just made permanent.

Errors (all `ActorStoreError`)::

    BlobNotFound      no such blob, or not one that may be referred to or served
    BlobTakendown     a moderator has taken these bytes down: they cannot be uploaded again
    InvalidMimeType   a reference names another media type than the upload has
    InvalidSize       a reference names another size than the upload has
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actor_store.errors import BlobNotFound, BlobTakendown, InvalidMimeType, InvalidSize
from repo.cid import Cid

if TYPE_CHECKING:
    from actor_store.blob_store.base import TempBlob
    from database.connection import Database
    from repo.datamodel import BlobRef

_COLUMNS: Final = "cid, mimeType, size, tempKey, takedownRef, createdAt"
# A loose index scan: one step a blob, where DISTINCT would visit every reference.
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
    """Where the bytes are while no record refers to the blob; None once permanent."""
    takedown_ref: str | None
    created_at: str


@dataclass(slots=True, frozen=True)
class TempRef:
    """A blob that a record is about to refer to and whose bytes are still temporary."""

    cid: Cid
    key: str


@dataclass(slots=True, frozen=True)
class MissingBlob:
    """A blob that a record refers to and whose bytes are not kept here."""

    cid: Cid
    record_uri: str


@dataclass(slots=True, frozen=True)
class TrackedUpload:
    """What became of the row of an upload, and what is to be done with bytes."""

    promote: TempRef | None
    """Set if records refer to the blob already: make it permanent, then `mark_permanent`."""
    orphaned_key: str | None
    """Temporary bytes that no row names any more, to be discarded."""


@dataclass(slots=True, frozen=True)
class BlobChanges:
    """Bytes that a commit has made superfluous, to be deleted after the transaction."""

    unused: tuple[Cid, ...]
    """CIDs whose rows are gone: delete the permanent bytes."""
    orphaned_keys: tuple[str, ...]
    """Temporary bytes that no row names any more."""


@dataclass(slots=True, frozen=True)
class SweptUploads:
    """What was deleted because no record had come to refer to it."""

    uploads: int = 0
    size_bytes: int = 0
    """Length of these uploads."""
    parts: int = 0
    """Files that uploads left which were cut off."""

    def __add__(self, other: SweptUploads) -> SweptUploads:
        return SweptUploads(
            self.uploads + other.uploads,
            self.size_bytes + other.size_bytes,
            self.parts + other.parts,
        )


@dataclass(slots=True, frozen=True)
class BlobTotals:
    """All blobs of an actor together, temporary ones included."""

    count: int
    size_bytes: int


class BlobReader:
    """Reads the blob rows of one actor."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._totals: BlobTotals | None = None
        self._totals_version = 0

    def find(self, cid: Cid) -> StoredBlob | None:
        """The row of a blob in whatever state, or None."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM blob WHERE cid = ?", (str(cid),))
        if row is None:
            return None
        text, mime_type, size, temp_key, takedown_ref, created_at = row
        return StoredBlob(Cid.parse(text), mime_type, size, temp_key, takedown_ref, created_at)

    def get_servable(self, cid: Cid) -> StoredBlob:
        """A blob that getBlob may serve: permanent, not taken down. Else raises `BlobNotFound`."""
        blob = self.find(cid)
        if blob is None or blob.temp_key is not None or blob.takedown_ref is not None:
            raise BlobNotFound(cid)
        return blob

    def check_refs(self, refs: Iterable[BlobRef]) -> tuple[TempRef, ...]:
        """Check the blobs that new records refer to. Return those whose bytes are still temporary.

        Raises `BlobNotFound` for an unknown or taken-down blob, and for one that is still
        temporary `InvalidMimeType` or `InvalidSize` if the reference differs from the upload.
        """
        temporary: dict[Cid, TempRef] = {}
        for ref in refs:
            blob = self.find(ref.cid)
            if blob is None or blob.takedown_ref is not None:
                raise BlobNotFound(ref.cid)
            if blob.temp_key is None:
                continue  # As in the reference, a permanent blob is not compared again.
            if ref.mime_type != blob.mime_type:
                raise InvalidMimeType(expected=blob.mime_type, found=ref.mime_type)
            if ref.size != blob.size:
                raise InvalidSize(expected=blob.size, found=ref.size)
            temporary[ref.cid] = TempRef(ref.cid, blob.temp_key)
        return tuple(temporary.values())

    def list_referenced(
        self, *, limit: int, cursor: str | None = None, since: str | None = None
    ) -> list[Cid]:
        """CIDs that records refer to, ascending by their text, after `cursor`.

        With `since` (a rev) only those whose referring record was written after it: for a thread,
        for it may look at every reference there is.
        Used by com.atproto.sync.listBlobs.
        """
        if since is None:
            rows = self._db.all(_REFERENCED, (cursor or "", limit))
        else:
            rows = self._db.all(_REFERENCED_SINCE, (cursor or "", since, limit))
        return [Cid.parse(text) for (text,) in rows]

    def list_missing(self, *, limit: int, cursor: str | None = None) -> list[MissingBlob]:
        """Blobs that records refer to and that were not uploaded, ascending by CID after `cursor`.

        One record is named for each. An upload that is still temporary counts as missing: what was
        to make it permanent has been cut off, and a second upload does. For a thread, as it may
        look at every reference there is. Used by com.atproto.repo.listMissingBlobs.
        """
        rows = self._db.all(
            f"SELECT blobCid, min(recordUri) FROM record_blob WHERE blobCid > ? AND {_IS_MISSING}"
            " GROUP BY blobCid ORDER BY blobCid LIMIT ?",
            (cursor or "", limit),
        )
        return [MissingBlob(Cid.parse(text), uri) for text, uri in rows]

    def count_missing(self) -> int:
        """How many blobs `list_missing` has in all."""
        sql = f"SELECT count(DISTINCT blobCid) FROM record_blob WHERE {_IS_MISSING}"
        return int(self._db.value(sql))

    def list_awaited(self) -> list[TempRef]:
        """Uploads that records refer to although their bytes are still temporary."""
        rows = self._db.all(
            "SELECT cid, tempKey FROM blob WHERE tempKey IS NOT NULL AND takedownRef IS NULL"
            " AND EXISTS (SELECT 1 FROM record_blob WHERE blobCid = blob.cid)"
        )
        return [TempRef(Cid.parse(text), key) for text, key in rows]

    def list_unused(self, *, before: str, limit: int) -> list[Cid]:
        """Uploads that no record refers to, `before` a time (ISO 8601), in no order.

        Reads every row: for a thread.
        """
        rows = self._db.all(f"SELECT cid FROM blob WHERE {_IS_UNUSED} LIMIT ?", (before, limit))
        return [Cid.parse(text) for (text,) in rows]

    def list_temp_keys(self) -> frozenset[str]:
        """The keys of all temporary bytes that have a row."""
        rows = self._db.all("SELECT tempKey FROM blob WHERE tempKey IS NOT NULL")
        return frozenset(key for (key,) in rows)

    def records_with(self, cid: Cid, *, limit: int = -1) -> list[str]:
        """URIs of the records that refer to a blob, ascending; the first `limit`, or all."""
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
        """How many blobs there are, and their length; known from the last time if that is right."""
        # Changes with every commit of another connection, in this process or another one.
        version = self._db.value("PRAGMA data_version")
        if self._totals is None or self._totals_version != version:
            row = self._db.one("SELECT count(*), coalesce(sum(size), 0) FROM blob") or (0, 0)
            self._totals = BlobTotals(*row)
            self._totals_version = version
        return self._totals

    def count(self) -> int:
        """How many blobs have been uploaded, temporary ones included."""
        return int(self._db.value("SELECT count(*) FROM blob"))

    def count_referenced(self) -> int:
        """How many different blobs records refer to."""
        return int(self._db.value("SELECT count(DISTINCT blobCid) FROM record_blob"))


class BlobTransactor(BlobReader):
    """Writes the blob rows of one actor. Every method needs an open transaction."""

    def track_upload(self, temp: TempBlob, *, mime_type: str, created_at: str) -> TrackedUpload:
        """Enter a finished upload. Raises `BlobTakendown` if its bytes have been taken down.

        A blob that is known keeps its media type and size, and counts as new if no record refers
        to it. `created_at` is ISO 8601 in UTC with milliseconds.
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
        """Note that the bytes of a blob are permanent."""
        self._db.run("UPDATE blob SET tempKey = NULL WHERE cid = ?", (str(cid),))

    def apply_writes(
        self,
        *,
        replaced_uris: Sequence[str],
        refs: Sequence[tuple[str, BlobRef]],
        made_permanent: Iterable[TempRef] = (),
    ) -> BlobChanges:
        """Bring the rows up to date with a commit. Return the bytes nobody needs any more.

        `replaced_uris` are the records updated or deleted, `refs` pairs of record URI and the blob
        that it now refers to, `made_permanent` what `check_refs` returned and the caller has since
        made permanent. Raises as `check_refs` does, and `BlobNotFound` if a blob has become
        temporary that was not made permanent.
        """
        made = {ref.cid: ref.key for ref in made_permanent}
        before = self._drop_references(replaced_uris)
        orphaned: list[str] = []
        for ref in self.check_refs(blob for _, blob in refs):
            if ref.cid not in made:
                raise BlobNotFound(ref.cid)
            if made[ref.cid] != ref.key:
                orphaned.append(ref.key)  # Uploaded once more in the meantime.
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
        """Note that a record refers to a blob, which need not be known (importRepo)."""
        self._db.run(
            "INSERT INTO record_blob (blobCid, recordUri) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (str(cid), record_uri),
        )

    def drop_unused(self, cids: Iterable[Cid], *, before: str) -> tuple[BlobChanges, int]:
        """Forget those of `cids` that no record refers to and that were uploaded `before` a time.

        Returns the bytes that nobody needs any more, and their length.
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
                continue  # A record has come to refer to it, or it was uploaded once more.
            key, size = row
            unused.append(cid)
            keys += [] if key is None else [key]
            size_bytes += size
        self._change_totals(-len(unused), -size_bytes)
        return BlobChanges(tuple(unused), tuple(keys)), size_bytes

    def set_takedown(self, cid: Cid, takedown_ref: str | None) -> str | None:
        """Take a blob down, or with None reverse it. Raises `BlobNotFound`.

        Return the reference that is kept: that of the first takedown.
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
        """Count anew when asked: the transaction that has changed blobs was rolled back."""
        self._totals = None

    def _change_totals(self, count: int, size_bytes: int) -> None:
        known = self._totals
        if known is not None:
            self._totals = BlobTotals(known.count + count, known.size_bytes + size_bytes)

    def _drop_references(self, uris: Sequence[str]) -> list[Cid]:
        """Delete the references of these records. Return the CIDs they had."""
        if not uris:
            return []
        # One pass for all of them: the table has no index by record.
        places = ", ".join("?" * len(uris))
        rows = self._db.all(
            f"DELETE FROM record_blob WHERE recordUri IN ({places}) RETURNING blobCid", tuple(uris)
        )
        return [Cid.parse(text) for text in dict.fromkeys(text for (text,) in rows)]
