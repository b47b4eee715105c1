"""Stores of the reference PDS: the same schema, and data that both servers can continue with."""

from __future__ import annotations

from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from database.opening import open_database
from repo.commit import decode_commit
from repo.tid import TidClock
from tests.actor_store.support import DID, POST, commit, contents, delete, post
from tests.reference import data as reference_data


@pytest.fixture
def reference(tmp_path: Path) -> ActorLayout:
    return ActorLayout(reference_data.unpack(tmp_path / "reference") / "actors")


def _schema(path: Path) -> list[tuple[str, ...]]:
    db = open_database(path)
    rows = db.all("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")
    settings = [
        db.all(f"PRAGMA {name}")
        for name in ("page_size", "encoding", "user_version", "auto_vacuum", "application_id")
    ]
    db.close()
    return [*rows, tuple(str(setting) for setting in settings)]


async def test_new_store_has_the_schema_of_the_reference(
    actors: ActorStore, layout: ActorLayout, reference: ActorLayout
) -> None:
    for did in reference.iter_dids():
        assert _schema(layout.store(DID)) == _schema(reference.store(did))


async def test_every_reference_store_is_read_and_written(
    reference: ActorLayout, blob_store: DiskBlobStore, clock: TidClock
) -> None:
    store = ActorStore(layout=reference, blob_store=blob_store, clock=clock)
    dids = list(store.iter_dids())
    assert len(dids) >= 3
    for did in dids:
        before = await store.read(did, contents)
        head = await store.read(did, lambda actor: actor.repo.head())
        block = await store.read(did, lambda actor: actor.repo.get_block(head.cid))  # noqa: B023
        assert decode_commit(block).verify(store.key(did).public)
        data = await commit(store, did, [post("holdfast")])
        assert data.since == head.rev
        assert len(await store.read(did, contents)) == len(before) + 1
        for path in before:
            collection, rkey = path.split("/")
            await commit(store, did, [delete(rkey, collection)])
        assert list(await store.read(did, contents)) == [f"{POST}/holdfast"]
        assert await store.read(did, lambda actor: actor.repo.block_count()) == 3
        assert await store.read(did, lambda actor: actor.blob.count_referenced()) == 0
    await store.close()
