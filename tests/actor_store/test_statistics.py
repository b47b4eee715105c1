"""What an actor store counts while it works, for operators to watch."""

from __future__ import annotations

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blocks import CountedNodeCache
from actor_store.errors import RecordExists
from actor_store.layout import ActorLayout
from actor_store.lookups import Lookups
from actor_store.store import ActorStore
from repo.keys import K256PrivateKey
from repo.mst import Node
from repo.tid import TidClock
from tests.actor_store.support import DID, commit, delete, edit, post


async def test_records_are_counted_by_what_happened_to_them(actors: ActorStore) -> None:
    await commit(actors, DID, [post("one"), post("two")])
    await commit(actors, DID, [edit("one", "changed"), delete("two"), post("three")])
    assert actors.record_writes == {"create": 3, "update": 1, "delete": 1}
    assert actors.write_counts.committed == 2


async def test_what_was_refused_is_not_counted(actors: ActorStore) -> None:
    await commit(actors, DID, [post("one")])
    with pytest.raises(RecordExists):
        await commit(actors, DID, [post("one")])
    assert actors.record_writes == {"create": 1}


async def test_open_stores_are_hits_and_others_misses(actors: ActorStore) -> None:
    for _ in range(3):
        await actors.read(DID, lambda actor: actor.repo.head())
    assert actors.open_stores.lookups == Lookups(hits=2, misses=1)
    assert len(actors.open_stores) == 1


async def test_nodes_are_found_in_memory_but_for_the_first_time(
    actors: ActorStore,
    layout: ActorLayout,
    blob_store: DiskBlobStore,
    clock: TidClock,
    key: K256PrivateKey,
) -> None:
    await commit(actors, DID, [post("one")])
    await actors.close()
    again = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    try:
        for number in range(3):
            await again.read(DID, lambda actor: actor.repo.tree().get("app.bsky.feed.post/one"))
            assert again.nodes.lookups == Lookups(hits=number, misses=1)
    finally:
        await again.close()


def test_only_asking_for_nodes_is_counted() -> None:
    nodes = CountedNodeCache(2_000)
    for number in range(5):
        nodes[bytes([number])] = Node.bare(None)
    del nodes[bytes([4])]
    assert nodes.lookups == Lookups()
    assert nodes.get(bytes([3])) is not None
    assert nodes.get(bytes([4])) is None
    with pytest.raises(KeyError):
        nodes[bytes([4])]
    assert nodes.lookups == Lookups(hits=1, misses=1)
