"""The quota of an actor, which every way of adding data must respect."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.errors import QuotaExceeded
from actor_store.layout import ActorLayout
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID, commit, contents, delete, edit, post

ROOM = 100_000
LARGE = "x" * ROOM


@pytest.fixture
def quotas() -> dict[str, int]:
    """The quota of each DID that has one, as tests change it."""
    return {}


@pytest.fixture
async def store(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, quotas: dict[str, int]
) -> AsyncIterator[ActorStore]:
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock, find_quota=quotas.get)
    yield store
    await store.close()


@pytest.fixture
async def full(store: ActorStore, key: K256PrivateKey, quotas: dict[str, int]) -> ActorStore:
    """A store in which `DID` has one record, and room for less than `ROOM` more."""
    await store.create(DID, key, lambda actor: actor.create_repo())
    await commit(store, DID, [post("a")])
    quotas[DID] = await used_by(store) + ROOM - 1
    return store


async def used_by(store: ActorStore) -> int:
    return await store.read(DID, lambda actor: actor.usage.used_bytes())


async def upload(
    store: ActorStore, blob_store: DiskBlobStore, *, ignores_quota: bool = False
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield LARGE.encode()

    temp = await blob_store.put_temp(DID, chunks(), max_bytes=ROOM)
    await store.blob_files.keep_upload(
        DID, temp, mime_type="image/png", ignores_quota=ignores_quota
    )


async def test_a_commit_without_room_is_refused_and_says_why(
    full: ActorStore, quotas: dict[str, int]
) -> None:
    used, write = await used_by(full), post("b", LARGE)
    assert write.block is not None
    with pytest.raises(QuotaExceeded) as caught:
        await commit(full, DID, [write])
    assert caught.value.used_bytes == used
    assert caught.value.quota_bytes == quotas[DID]
    assert caught.value.adding_bytes == len(write.block)
    assert list(await full.read(DID, contents)) == [post("a").path]


async def test_the_transactor_refuses_by_itself(full: ActorStore) -> None:
    with pytest.raises(QuotaExceeded):
        await full.transact(DID, lambda actor: actor.commit([post("b", LARGE)]))


async def test_a_quota_that_changes_holds_from_the_next_commit_on(
    full: ActorStore, quotas: dict[str, int]
) -> None:
    quotas[DID] += ROOM
    await commit(full, DID, [post("b", LARGE)])
    quotas[DID] = 0
    with pytest.raises(QuotaExceeded):
        await commit(full, DID, [post("c")])
    del quotas[DID]
    await commit(full, DID, [post("c")])


async def test_what_adds_nothing_needs_no_room(full: ActorStore, quotas: dict[str, int]) -> None:
    quotas[DID] = 0
    await commit(full, DID, [edit("a", "short")])
    await full.transact(DID, lambda actor: actor.recommit())
    await commit(full, DID, [delete("a")])


async def test_long_work_that_takes_more_room_than_there_was_is_rolled_back(
    full: ActorStore, quotas: dict[str, int]
) -> None:
    def fill(actor: ActorStoreTransactor) -> None:
        write = post("b", LARGE + LARGE)
        assert write.cid is not None
        assert write.block is not None
        actor.repo.put_blocks([(write.cid, write.block)], actor.next_rev("2222222222222"))

    used = await used_by(full)
    with pytest.raises(QuotaExceeded):
        await full.transact_in_thread(DID, fill)
    assert await used_by(full) == used
    await full.transact_in_thread(DID, fill, ignores_quota=True)
    assert await used_by(full) > quotas[DID]


async def test_an_upload_without_room_is_refused_unless_the_operator_brings_it(
    full: ActorStore, blob_store: DiskBlobStore
) -> None:
    with pytest.raises(QuotaExceeded):
        await upload(full, blob_store)
    await upload(full, blob_store, ignores_quota=True)
    # The same bytes once more take no more room.
    await upload(full, blob_store)
