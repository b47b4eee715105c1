"""The space used by an actor: correct after every kind of change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.errors import RecordExists
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from actor_store.usage import Usage
from database.opening import open_database
from repo.datamodel import BlobRef
from tests.actor_store.support import DID, blob_value, commit, delete, post
from tests.database.statements import statements_of


async def upload(store: ActorStore, blob_store: DiskBlobStore, data: bytes) -> BlobRef:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    temp = await blob_store.put_temp(DID, chunks(), max_bytes=1_000_000)
    await store.blob_files.keep_upload(DID, temp, mime_type="image/png")
    return BlobRef(temp.cid, "image/png", temp.size)


async def usage_of(store: ActorStore) -> Usage:
    """The usage by the open connection, after comparing it with what another one finds."""
    known = await store.read(DID, lambda actor: actor.usage.read())
    assert known == await store.read_in_thread(DID, lambda actor: actor.usage.read())
    return known


async def test_records_take_room_in_the_database(actors: ActorStore) -> None:
    before = await usage_of(actors)
    assert (before.records, before.blobs, before.blob_bytes) == (0, 0, 0)
    await commit(actors, DID, [post(f"r{n}", f"{n}" * 10_000) for n in range(20)])
    after = await usage_of(actors)
    assert after.records == 20
    assert after.database_bytes - before.database_bytes > 200_000
    assert after.used_bytes == after.database_bytes


async def test_room_of_deleted_records_is_free_although_the_file_stays_long(
    actors: ActorStore,
) -> None:
    before = await usage_of(actors)
    await commit(actors, DID, [post(f"r{n}", f"{n}" * 10_000) for n in range(20)])
    await commit(actors, DID, [delete(f"r{n}") for n in range(20)])
    after = await usage_of(actors)
    assert after.database_bytes - before.database_bytes < 50_000
    await actors.close()
    assert actors.layout.store(DID).stat().st_size - after.database_bytes > 150_000


async def test_uploads_count_before_and_after_a_record_refers_to_them(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    await usage_of(actors)
    ref = await upload(actors, blob_store, b"a" * 1000)
    await upload(actors, blob_store, b"b" * 500)
    assert ((await usage_of(actors)).blobs, (await usage_of(actors)).blob_bytes) == (2, 1500)
    # The same bytes once more are no more bytes.
    await upload(actors, blob_store, b"b" * 500)
    await commit(actors, DID, [post("one", blob=blob_value(ref))])
    assert ((await usage_of(actors)).blobs, (await usage_of(actors)).blob_bytes) == (2, 1500)
    await commit(actors, DID, [delete("one")])
    assert ((await usage_of(actors)).blobs, (await usage_of(actors)).blob_bytes) == (1, 500)


async def test_a_change_that_is_rolled_back_changes_no_total(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    ref = await upload(actors, blob_store, b"a" * 1000)
    await commit(actors, DID, [post("one", blob=blob_value(ref))])
    before = await usage_of(actors)

    def change(actor: ActorStoreTransactor) -> None:
        actor.blob.apply_writes(replaced_uris=[f"at://{DID}/app.bsky.feed.post/one"], refs=[])
        assert actor.usage.used_bytes() < before.used_bytes
        raise RecordExists("for this or that reason")

    with pytest.raises(RecordExists):
        await actors.transact(DID, change)
    assert await usage_of(actors) == before


async def test_what_another_connection_has_changed_is_seen(
    actors: ActorStore, blob_store: DiskBlobStore
) -> None:
    await upload(actors, blob_store, b"a" * 1000)
    assert (await usage_of(actors)).blob_bytes == 1000
    other = open_database(actors.layout.store(DID))
    other.run("UPDATE blob SET size = 3000")
    other.close()
    assert (await usage_of(actors)).blob_bytes == 3000


async def test_the_answer_costs_the_same_however_many_blobs_there_are(
    actors: ActorStore, tmp_path: Path
) -> None:
    """What is asked on every write reads no row: it takes known totals forward."""
    await usage_of(actors)
    with statements_of(actors.open_stores.get(DID).db) as statements:
        await actors.read(DID, lambda actor: actor.usage.used_bytes())
    assert [sql for sql in statements if "blob" in sql or "record" in sql] == []
    assert len(statements) <= 7
