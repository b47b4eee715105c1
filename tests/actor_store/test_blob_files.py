"""Blobs around commits: bytes permanent before, deleted after, and never the wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from actor_store.blob_store.base import BlobStoreUnavailable
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.errors import (
    BlobNotFound,
    BlobTakendown,
    InvalidMimeType,
    InvalidSize,
    RecordExists,
    RepoNotFound,
)
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from repo.cid import Cid
from repo.datamodel import BlobRef
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import (
    DID,
    OTHER_DID,
    blob_value,
    commit,
    contents,
    delete,
    edit,
    in_one_step,
    post,
)


async def _upload(
    store: ActorStore, blob_store: DiskBlobStore, data: bytes, mime_type: str = "image/png"
) -> BlobRef:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    temp = await blob_store.put_temp(DID, chunks(), max_bytes=1_000_000)
    await store.blob_files.keep_upload(DID, temp, mime_type=mime_type)
    return BlobRef(temp.cid, mime_type, temp.size)


def _files(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*") if path.is_file()}


async def _bytes_and_rows_agree(store: ActorStore, blobs: Path) -> set[str]:
    """Check that the permanent files are those of the permanent rows. Return their names."""
    await store.blob_files.settle()
    rows = await store.read(
        DID, lambda actor: actor.repo._db.all("SELECT cid FROM blob WHERE tempKey IS NULL")
    )
    permanent = {path.name for path in (blobs / DID).glob("*")}
    assert permanent == {cid for (cid,) in rows}
    return permanent


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


async def test_upload_stays_temporary_until_a_record_refers_to_it(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    assert await _bytes_and_rows_agree(actors, blobs) == set()
    await commit(actors, DID, [post("a", embed=blob_value(ref))])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(ref.cid)}
    assert _files(blobs) == {str(ref.cid)}


async def test_deleted_and_updated_records_drop_their_blobs(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    one = await _upload(actors, blob_store, b"one")
    two = await _upload(actors, blob_store, b"two")
    await commit(actors, DID, [post("a", embed=blob_value(one))])
    await commit(actors, DID, [edit("a", "x", embed=blob_value(two))])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(two.cid)}
    await commit(actors, DID, [edit("a", "no picture")])
    assert await _bytes_and_rows_agree(actors, blobs) == set()


async def test_blob_stays_while_another_record_refers_to_it(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post(k, k, embed=blob_value(ref)) for k in "ab"])
    await commit(actors, DID, [delete("a")])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(ref.cid)}
    await commit(actors, DID, [delete("b"), post("c", embed=blob_value(ref))])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(ref.cid)}
    await commit(actors, DID, [delete("c")])
    assert await _bytes_and_rows_agree(actors, blobs) == set()


@pytest.mark.parametrize(
    ("ref", "error"),
    [
        (BlobRef(Cid.of_raw(b"never uploaded"), "image/png", 7), BlobNotFound),
        (BlobRef(Cid.of_raw(b"picture"), "image/gif", 7), InvalidMimeType),
        (BlobRef(Cid.of_raw(b"picture"), "image/png", 8), InvalidSize),
    ],
    ids=["unknown", "media type", "size"],
)
async def test_reference_that_does_not_fit_the_upload_is_refused(
    actors: ActorStore,
    blob_store: DiskBlobStore,
    blobs: Path,
    ref: BlobRef,
    error: type[Exception],
) -> None:
    await _upload(actors, blob_store, b"picture")
    with pytest.raises(error):
        await commit(actors, DID, [post("a", embed=blob_value(ref))])
    assert await actors.read(DID, contents) == {}
    assert await _bytes_and_rows_agree(actors, blobs) == set()


async def test_commit_on_its_own_does_not_refer_to_temporary_bytes(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    with pytest.raises(BlobNotFound):
        await actors.transact(DID, lambda actor: actor.commit([post("a", embed=blob_value(ref))]))
    assert await actors.read(DID, contents) == {}


async def test_refused_commit_leaves_the_upload_usable(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    await commit(actors, DID, [post("a")])
    ref = await _upload(actors, blob_store, b"picture")
    with pytest.raises(RecordExists):
        await commit(actors, DID, [post("a", embed=blob_value(ref))])
    await commit(actors, DID, [post("b", embed=blob_value(ref))])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(ref.cid)}


async def test_commit_with_blobs_returns_in_the_step_of_its_commit(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post("a", embed=blob_value(ref))])
    # A permanent blob needs no waiting at all, and a deletion is for later.
    in_one_step(commit(actors, DID, [post("b", embed=blob_value(ref))]))
    in_one_step(commit(actors, DID, [delete("a"), delete("b")]))


async def test_blob_uploaded_again_while_its_deletion_waits_is_not_lost(
    layout: ActorLayout, blobs: Path, clock: TidClock, key: K256PrivateKey
) -> None:
    class SlowDeletions(DiskBlobStore):
        """Deletes only when allowed."""

        allowed = asyncio.Event()
        asked = asyncio.Event()

        async def delete(self, did: str, cids: Iterable[Cid]) -> None:
            cids = list(cids)
            self.asked.set()
            await self.allowed.wait()
            await super().delete(did, cids)

    blob_store = SlowDeletions(blobs)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    await store.create(DID, key, lambda actor: actor.create_repo())
    ref = await _upload(store, blob_store, b"picture")
    await commit(store, DID, [post("a", embed=blob_value(ref))])
    await commit(store, DID, [delete("a")])
    await blob_store.asked.wait()
    again = asyncio.ensure_future(_upload(store, blob_store, b"picture"))
    await asyncio.sleep(0)
    blob_store.allowed.set()
    await again
    await commit(store, DID, [post("b", embed=blob_value(ref))])
    assert await _bytes_and_rows_agree(store, blobs) == {str(ref.cid)}
    await store.close()


async def test_many_uploads_commits_and_deletions_of_one_blob_end_in_agreement(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    async def come_and_go(number: int) -> None:
        for turn in range(4):
            rkey = f"{number}-{turn}"
            ref = await _upload(actors, blob_store, b"picture")
            try:
                await commit(actors, DID, [post(rkey, embed=blob_value(ref))])
            except BlobNotFound:
                continue  # Another task has just deleted the last record that had it.
            await commit(actors, DID, [delete(rkey)])

    await asyncio.gather(*(come_and_go(number) for number in range(5)))
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post("last", embed=blob_value(ref))])
    assert await _bytes_and_rows_agree(actors, blobs) == {str(ref.cid)}
    assert blob_store.path(DID, ref.cid).exists()


async def test_upload_that_a_record_waits_for_is_permanent_at_once(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    cid = Cid.of_raw(b"picture")
    await actors.transact(
        DID, lambda actor: actor.blob.add_reference(f"at://{DID}/app.bsky.feed.post/imported", cid)
    )
    await _upload(actors, blob_store, b"picture")
    assert await _bytes_and_rows_agree(actors, blobs) == {str(cid)}


async def test_upload_of_bytes_taken_down_is_refused_and_discarded(
    actors: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post("a", embed=blob_value(ref))])
    await actors.transact(DID, lambda actor: actor.blob.set_takedown(ref.cid, "ref"))
    with pytest.raises(BlobTakendown):
        await _upload(actors, blob_store, b"picture")
    assert _files(blobs) == {str(ref.cid)}


async def test_upload_to_an_unknown_actor_is_discarded(
    store: ActorStore, blob_store: DiskBlobStore, blobs: Path
) -> None:
    with pytest.raises(RepoNotFound):
        await _upload(store, blob_store, b"picture")
    assert _files(blobs) == set()
    assert not store.exists(OTHER_DID)


async def test_bytes_that_cannot_be_deleted_do_not_undo_the_commit(
    layout: ActorLayout,
    blobs: Path,
    clock: TidClock,
    key: K256PrivateKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class BrokenDeletions(DiskBlobStore):
        """Fails to delete."""

        async def delete(self, did: str, cids: Iterable[Cid]) -> None:
            raise OSError("disk is read-only")

    blob_store = BrokenDeletions(blobs)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    await store.create(DID, key, lambda actor: actor.create_repo())
    ref = await _upload(store, blob_store, b"picture")
    await commit(store, DID, [post("a", embed=blob_value(ref))])
    await commit(store, DID, [delete("a")])
    await store.blob_files.settle()
    assert "disk is read-only" in caplog.text
    assert await store.read(DID, contents) == {}
    await store.close()


async def test_a_takedown_that_cannot_be_reversed_stays_a_takedown(
    actors: ActorStore, blob_store: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post("one", embed=blob_value(ref))])
    await actors.blob_files.take_down(DID, ref.cid, "case 1")
    unquarantine = blob_store.unquarantine

    async def fail(did: str, cid: Cid) -> None:
        raise BlobStoreUnavailable("down")

    monkeypatch.setattr(blob_store, "unquarantine", fail)
    with pytest.raises(BlobStoreUnavailable):
        await actors.blob_files.restore(DID, ref.cid)
    with pytest.raises(BlobNotFound):
        await actors.read(DID, lambda actor: actor.blob.get_servable(ref.cid))
    monkeypatch.setattr(blob_store, "unquarantine", unquarantine)
    await actors.blob_files.restore(DID, ref.cid)
    assert await actors.read(DID, lambda actor: actor.blob.get_servable(ref.cid))
    async with await blob_store.open(DID, ref.cid) as opened:
        assert opened.size == len(b"picture")


async def test_takedowns_and_reversals_at_once_leave_bytes_where_the_row_says(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await commit(actors, DID, [post("one", embed=blob_value(ref))])
    for _ in range(20):
        await asyncio.gather(
            actors.blob_files.take_down(DID, ref.cid, "case 1"),
            actors.blob_files.restore(DID, ref.cid),
            actors.blob_files.take_down(DID, ref.cid, "case 2"),
            actors.blob_files.restore(DID, ref.cid),
        )
        async with await blob_store.open(DID, ref.cid) as opened:
            assert opened.size == len(b"picture")


async def test_a_refused_upload_is_refused_for_its_reason_although_it_cannot_be_discarded(
    actors: ActorStore, blob_store: DiskBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = await _upload(actors, blob_store, b"picture")
    await actors.blob_files.take_down(DID, ref.cid, "case 1")

    async def fail(_did: str, _key: str) -> None:
        raise BlobStoreUnavailable("down")

    monkeypatch.setattr(blob_store, "discard_temp", fail)
    with pytest.raises(BlobTakendown):
        await _upload(actors, blob_store, b"picture")
