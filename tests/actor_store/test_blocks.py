"""Reading the blocks of a repo: one by one, as a proof, as a whole CAR."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blocks import CHUNK_BYTES
from actor_store.errors import RepoNotFound
from actor_store.layout import ActorLayout
from actor_store.reader import ActorStoreReader
from actor_store.store import ActorStore
from repo.car import CarReader
from repo.cid import Cid
from repo.commit import decode_commit
from repo.keys import K256PrivateKey
from repo.mst import InvalidMst, MemoryBlocks, MissingBlock, Mst
from repo.tid import TidClock
from tests.actor_store.support import DID, POST, collect, commit, contents, delete, post
from tests.reference import data as reference_data


async def _car(store: ActorStore, since: str | None = None) -> CarReader:
    car = await collect(store.stream(DID, lambda actor: actor.repo.iter_car(since)))
    return CarReader(BytesIO(car))


async def test_car_has_the_head_as_root_and_every_block(actors: ActorStore) -> None:
    await commit(actors, DID, [post(str(n)) for n in range(50)])
    data = await commit(actors, DID, [post("x" * 400, "y" * 20_000), delete("7")])
    car = await _car(actors)
    assert car.roots == (data.cid,)
    blocks = dict(car)
    assert len(blocks) == await actors.read(DID, lambda actor: actor.repo.block_count())
    tree = Mst.load(decode_commit(blocks[data.cid]).data, MemoryBlocks(blocks))
    assert dict(tree.walk()) == await actors.read(DID, contents)


async def test_car_since_a_rev_has_what_was_stored_after_it(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a")])
    second = await commit(actors, DID, [post("b")])
    third = await commit(actors, DID, [post("c")])
    blocks = dict(await _car(actors, first.rev))
    assert {third.cid, post("b").cid} - {post("a").cid} <= blocks.keys()
    assert second.cid not in blocks
    assert list(await _car(actors, third.rev)) == []
    assert (await _car(actors, third.rev)).roots == (third.cid,)


async def test_car_is_the_reference_s_byte_for_byte(
    tmp_path: Path, blob_store: DiskBlobStore, clock: TidClock
) -> None:
    layout = ActorLayout(reference_data.unpack(tmp_path / "reference") / "actors")
    expected = {path.read_bytes() for path in reference_data.CARS.iterdir()}
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    made = {
        await collect(store.stream(did, lambda actor: actor.repo.iter_car()))
        for did in store.iter_dids()
    }
    assert expected <= made
    await store.close()


async def test_parts_of_a_car_are_neither_tiny_nor_unbounded(actors: ActorStore) -> None:
    for start in range(0, 600, 200):
        writes = [post(str(n), f"{n} " * 800) for n in range(start, start + 200)]
        await commit(actors, DID, writes)
    parts = await actors.read(DID, lambda actor: list(actor.repo.iter_car()))
    assert len(parts) > 3
    assert all(CHUNK_BYTES <= len(part) <= 2 * CHUNK_BYTES for part in parts[1:-1])


@pytest.mark.parametrize("first", [1, 16_200])
async def test_the_length_of_a_car_is_known_before(actors: ActorStore, first: int) -> None:
    """Of records of all sizes about those at which the length of a block takes a byte more."""
    await commit(actors, DID, [post(str(size), "x" * size) for size in range(first, first + 100)])
    car, promised = await actors.read(
        DID, lambda actor: (b"".join(actor.repo.iter_car()), actor.repo.car_bytes())
    )
    assert promised == len(car)


async def test_blocks_are_found_by_cid(actors: ActorStore) -> None:
    data = await commit(actors, DID, [post("a")])
    absent = Cid.of_dag_cbor(b"absent")
    found = await actors.read(DID, lambda actor: actor.repo.find_blocks([data.cid, absent]))
    assert found == {data.cid: data.block}
    with pytest.raises(MissingBlock):
        await actors.read(DID, lambda actor: actor.repo.get_block(absent))


async def test_proof_of_a_record_begins_with_the_commit_and_ends_with_the_record(
    actors: ActorStore,
) -> None:
    data = await commit(actors, DID, [post(str(n)) for n in range(60)])
    proof = await actors.read(DID, lambda actor: actor.repo.record_proof(POST, "31"))
    assert next(iter(proof)) == data.cid
    assert next(reversed(proof)) == post("31").cid
    tree = Mst.load(data.data, MemoryBlocks(proof))
    assert tree.get(f"{POST}/31") == post("31").cid


async def test_proof_of_an_absent_record_shows_that_there_is_none(actors: ActorStore) -> None:
    data = await commit(actors, DID, [post(str(n)) for n in range(60)])
    proof = await actors.read(DID, lambda actor: actor.repo.record_proof(POST, "none"))
    assert all(cid == Cid.of_dag_cbor(block) for cid, block in proof.items())
    assert Mst.load(data.data, MemoryBlocks(proof)).get(f"{POST}/none") is None


async def test_proof_of_an_impossible_key_is_refused(actors: ActorStore) -> None:
    with pytest.raises(InvalidMst):
        await actors.read(DID, lambda actor: actor.repo.record_proof(POST, "a/b"))


async def test_store_without_a_commit_has_no_repo(store: ActorStore, key: K256PrivateKey) -> None:
    await store.create(DID, key, lambda actor: None)
    assert await store.read(DID, lambda actor: actor.repo.find_head()) is None

    def proof(actor: ActorStoreReader) -> object:
        return actor.repo.record_proof(POST, "a")

    for fn in (lambda actor: actor.repo.head(), proof):
        with pytest.raises(RepoNotFound):
            await store.read(DID, fn)
    with pytest.raises(RepoNotFound):
        await commit(store, DID, [post("a")])
    await store.transact(DID, lambda actor: actor.create_repo())
    await commit(store, DID, [post("a")])
    assert len(await store.read(DID, contents)) == 1
