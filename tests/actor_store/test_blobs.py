"""Rows of blobs: uploads, references, takedowns, and what a commit leaves over."""

from __future__ import annotations

import pytest

from actor_store.blob_store.base import TempBlob, new_temp_key
from actor_store.blobs import BlobChanges, BlobTransactor, MissingBlob, TempRef, TrackedUpload
from actor_store.errors import BlobNotFound, BlobTakendown, InvalidMimeType, InvalidSize
from database.connection import Database
from repo.cid import Cid
from repo.datamodel import BlobRef

NOW = "2026-01-02T03:04:05.678Z"
ONE, TWO, THREE = (f"at://did:plc:a/app.bsky.feed.post/{n}" for n in "123")


@pytest.fixture
def blobs(db: Database) -> BlobTransactor:
    return BlobTransactor(db)


def temp_of(data: bytes) -> TempBlob:
    return TempBlob(new_temp_key(), Cid.of_raw(data), len(data), data)


def upload(blobs: BlobTransactor, data: bytes, mime_type: str = "image/png") -> TempBlob:
    temp = temp_of(data)
    blobs.track_upload(temp, mime_type=mime_type, created_at=NOW)
    return temp


def ref_of(temp: TempBlob, mime_type: str = "image/png", size: int | None = None) -> BlobRef:
    return BlobRef(temp.cid, mime_type, temp.size if size is None else size)


def commit(
    blobs: BlobTransactor, refs: list[tuple[str, BlobRef]], replaced: tuple[str, ...] = ()
) -> BlobChanges:
    """Do the steps of `ActorStore` around a commit, without the bytes."""
    made = blobs.check_refs(ref for _, ref in refs)
    return blobs.apply_writes(replaced_uris=replaced, refs=refs, made_permanent=made)


def test_upload_is_temporary_until_a_record_refers_to_it(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"data")
    stored = blobs.find(temp.cid)
    assert stored is not None
    assert (stored.mime_type, stored.size, stored.temp_key) == ("image/png", 4, temp.key)
    assert stored.created_at == NOW
    with pytest.raises(BlobNotFound):
        blobs.get_servable(temp.cid)
    assert commit(blobs, [(ONE, ref_of(temp))]) == BlobChanges((), ())
    assert blobs.get_servable(temp.cid).temp_key is None


def test_second_upload_replaces_only_the_temporary_key(blobs: BlobTransactor) -> None:
    first, second = upload(blobs, b"data"), temp_of(b"data")
    tracked = blobs.track_upload(second, mime_type="text/plain", created_at=NOW)
    assert tracked == TrackedUpload(promote=None, orphaned_key=first.key)
    stored = blobs.find(first.cid)
    assert stored is not None
    assert (stored.temp_key, stored.mime_type) == (second.key, "image/png")


def test_upload_of_a_permanent_blob_changes_nothing(blobs: BlobTransactor) -> None:
    first, second = upload(blobs, b"data"), temp_of(b"data")
    commit(blobs, [(ONE, ref_of(first))])
    tracked = blobs.track_upload(second, mime_type="text/plain", created_at=NOW)
    assert tracked == TrackedUpload(promote=None, orphaned_key=second.key)
    assert blobs.get_servable(first.cid).mime_type == "image/png"


def test_upload_that_an_imported_record_waits_for_is_promoted(blobs: BlobTransactor) -> None:
    temp = temp_of(b"imported")
    blobs.add_reference(ONE, temp.cid)
    tracked = blobs.track_upload(temp, mime_type="image/png", created_at=NOW)
    assert tracked == TrackedUpload(promote=TempRef(temp.cid, temp.key), orphaned_key=None)
    blobs.mark_permanent(temp.cid)
    assert blobs.get_servable(temp.cid).size == 8


def test_taken_down_blob_is_neither_served_nor_referred_to_nor_uploaded_again(
    blobs: BlobTransactor,
) -> None:
    temp = upload(blobs, b"bad")
    commit(blobs, [(ONE, ref_of(temp))])
    blobs.set_takedown(temp.cid, "mod-1")
    with pytest.raises(BlobNotFound):
        blobs.get_servable(temp.cid)
    with pytest.raises(BlobNotFound):
        blobs.check_refs([ref_of(temp)])
    with pytest.raises(BlobTakendown):
        upload(blobs, b"bad")
    blobs.set_takedown(temp.cid, None)
    assert blobs.get_servable(temp.cid).takedown_ref is None


def test_takedown_of_an_unknown_blob_is_an_error(blobs: BlobTransactor) -> None:
    with pytest.raises(BlobNotFound):
        blobs.set_takedown(Cid.of_raw(b"unknown"), "mod-1")


def test_reference_must_fit_the_upload(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"data")
    with pytest.raises(BlobNotFound):
        blobs.check_refs([ref_of(temp_of(b"unknown"))])
    with pytest.raises(InvalidMimeType) as wrong_type:
        blobs.check_refs([ref_of(temp, "image/jpeg")])
    assert (wrong_type.value.expected, wrong_type.value.found) == ("image/png", "image/jpeg")
    with pytest.raises(InvalidSize) as wrong_size:
        blobs.check_refs([ref_of(temp, size=5)])
    assert (wrong_size.value.expected, wrong_size.value.found) == (4, 5)


def test_reference_to_a_permanent_blob_is_not_compared_again(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"data")
    commit(blobs, [(ONE, ref_of(temp))])
    assert blobs.check_refs([ref_of(temp, "image/jpeg", size=99)]) == ()


def test_blob_mentioned_twice_is_made_permanent_once(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"data")
    assert blobs.check_refs([ref_of(temp), ref_of(temp)]) == (TempRef(temp.cid, temp.key),)
    commit(blobs, [(ONE, ref_of(temp)), (ONE, ref_of(temp)), (TWO, ref_of(temp))])
    assert blobs.records_with(temp.cid) == [ONE, TWO]


def test_blob_is_unused_once_its_last_record_is_gone(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"shared")
    commit(blobs, [(ONE, ref_of(temp)), (TWO, ref_of(temp))])
    assert commit(blobs, [], replaced=(ONE,)).unused == ()
    assert commit(blobs, [], replaced=(TWO,)).unused == (temp.cid,)
    assert blobs.find(temp.cid) is None


def test_updated_record_keeps_the_blobs_it_still_mentions(blobs: BlobTransactor) -> None:
    kept, dropped = upload(blobs, b"kept"), upload(blobs, b"dropped")
    commit(blobs, [(ONE, ref_of(kept)), (ONE, ref_of(dropped))])
    assert commit(blobs, [(ONE, ref_of(kept))], replaced=(ONE,)).unused == (dropped.cid,)
    assert blobs.records_with(kept.cid) == [ONE]


def test_blob_may_move_from_a_deleted_record_to_a_new_one(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"moved")
    commit(blobs, [(ONE, ref_of(temp))])
    assert commit(blobs, [(TWO, ref_of(temp))], replaced=(ONE,)).unused == ()
    assert blobs.get_servable(temp.cid).size == 5


def test_blob_deleted_between_check_and_commit_is_not_found(
    blobs: BlobTransactor, db: Database
) -> None:
    temp = upload(blobs, b"data")
    commit(blobs, [(ONE, ref_of(temp))])
    made = blobs.check_refs([ref_of(temp)])
    commit(blobs, [], replaced=(ONE,))
    with pytest.raises(BlobNotFound), db.transaction():
        blobs.apply_writes(replaced_uris=(), refs=[(TWO, ref_of(temp))], made_permanent=made)
    assert blobs.records_with(temp.cid) == []


def test_blob_that_was_not_made_permanent_is_not_found(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"data")
    with pytest.raises(BlobNotFound):
        blobs.apply_writes(replaced_uris=(), refs=[(ONE, ref_of(temp))])


def test_upload_repeated_between_check_and_commit_leaves_its_bytes_over(
    blobs: BlobTransactor,
) -> None:
    first = upload(blobs, b"data")
    made = blobs.check_refs([ref_of(first)])
    second = upload(blobs, b"data")
    changes = blobs.apply_writes(replaced_uris=(), refs=[(ONE, ref_of(first))], made_permanent=made)
    assert changes == BlobChanges((), (second.key,))
    assert blobs.get_servable(first.cid).temp_key is None


def test_referenced_blobs_are_listed_in_pages_by_cid(blobs: BlobTransactor) -> None:
    temps = [upload(blobs, bytes([n])) for n in range(5)]
    commit(blobs, [(uri, ref_of(temp)) for temp in temps[:4] for uri in (ONE, TWO)])
    expected = sorted((temp.cid for temp in temps[:4]), key=str)
    first = blobs.list_referenced(limit=3)
    assert first == expected[:3]
    assert blobs.list_referenced(limit=3, cursor=str(first[-1])) == expected[3:]


def test_listing_since_a_rev_names_blobs_of_later_records(
    blobs: BlobTransactor, db: Database
) -> None:
    old, new = upload(blobs, b"old"), upload(blobs, b"new")
    commit(blobs, [(ONE, ref_of(old)), (TWO, ref_of(new))])
    db.many(
        "INSERT INTO record (uri, cid, collection, rkey, repoRev, indexedAt)"
        " VALUES (?, 'cid', 'collection', 'rkey', ?, '')",
        [(ONE, "3a"), (TWO, "3b")],
    )
    assert blobs.list_referenced(limit=10, since="3a") == [new.cid]
    assert set(blobs.list_referenced(limit=10, since="32")) == {old.cid, new.cid}


def test_missing_blobs_are_those_without_an_upload(blobs: BlobTransactor) -> None:
    present, temporary = upload(blobs, b"present"), upload(blobs, b"temporary")
    blobs.mark_permanent(present.cid)
    missing = sorted((temporary.cid, *(Cid.of_raw(bytes([n])) for n in range(2))), key=str)
    for uri in (THREE, TWO):
        for cid in (*missing, present.cid):
            blobs.add_reference(uri, cid)
    assert blobs.list_missing(limit=2) == [MissingBlob(cid, TWO) for cid in missing[:2]]
    assert blobs.list_missing(limit=2, cursor=str(missing[1])) == [MissingBlob(missing[2], TWO)]


def test_counts_tell_uploads_from_references(blobs: BlobTransactor) -> None:
    temp = upload(blobs, b"used")
    upload(blobs, b"unused")
    commit(blobs, [(ONE, ref_of(temp)), (TWO, ref_of(temp))])
    blobs.add_reference(ONE, Cid.of_raw(b"missing"))
    assert (blobs.count(), blobs.count_referenced()) == (2, 2)
