"""Commits: what they change in an actor's store, and what they refuse."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from io import BytesIO
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actor_store.errors import (
    RecordExists,
    RecordNotFound,
    RepoExists,
    SwapMismatch,
    TooManyWrites,
)
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from actor_store.writes import PreparedWrite
from repo.car import CarReader, encode_car
from repo.cid import Cid
from repo.commit import CommitData, RecordOp, decode_commit
from repo.keys import K256PrivateKey
from repo.mst import InvalidMst, NodeTooLarge
from repo.mst.key import key_height
from repo.mst.node import MAX_KEYS
from tests.actor_store.support import (
    DID,
    POST,
    commit,
    contents,
    delete,
    edit,
    in_one_step,
    post,
    put,
)

OTHER = Cid.of_dag_cbor(b"other")


async def test_new_repo_has_a_signed_commit_of_an_empty_tree(
    store: ActorStore, key: K256PrivateKey
) -> None:
    data = await store.create(DID, key, lambda actor: actor.create_repo())
    commit = decode_commit(data.block)
    assert commit.verify(key.public)
    assert (data.since, data.prev_data, data.ops) == (None, None, ())
    assert await store.read(DID, lambda actor: actor.repo.block_count()) == 2
    assert await store.read(DID, contents) == {}


async def test_repo_is_not_created_twice(actors: ActorStore) -> None:
    with pytest.raises(RepoExists):
        await actors.transact(DID, lambda actor: actor.create_repo())


async def test_commit_and_read_happen_in_one_step_of_the_event_loop(actors: ActorStore) -> None:
    data = in_one_step(commit(actors, DID, [post("a")]))
    head = in_one_step(actors.read(DID, lambda actor: actor.repo.head()))
    assert (head.cid, head.rev) == (data.cid, data.rev)


async def test_create_update_delete(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a", "one"), post("b", "two")])
    old, new = post("a", "one"), edit("a", "three")
    second = await commit(actors, DID, [new])
    third = await commit(actors, DID, [delete("b")])
    assert second.ops == (RecordOp("update", f"{POST}/a", new.cid, old.cid),)
    assert (second.since, third.since) == (first.rev, second.rev)
    assert second.prev_data == first.data
    assert first.rev < second.rev < third.rev
    assert await actors.read(DID, contents) == {f"{POST}/a": new.cid}


async def test_record_row_says_when_it_was_last_written(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a"), post("b")])
    second = await commit(actors, DID, [edit("a", "new")])
    a, b = await actors.read(
        DID, lambda actor: (actor.record.get(POST, "a"), actor.record.get(POST, "b"))
    )
    assert (a.rev, b.rev) == (second.rev, first.rev)
    assert a.block == edit("a", "new").block


async def test_writes_that_leave_all_records_as_they_are_make_no_commit(
    actors: ActorStore,
) -> None:
    first = await commit(actors, DID, [post("a"), post("b", "same")])
    assert first.cid is not None
    for writes in (
        [],
        [edit("a", "hello")],
        [edit("a", "other"), edit("a", "hello")],
        [post("c"), delete("c")],
        [delete("a"), post("a")],
        [edit("b", "same"), edit("a", "hello")],
    ):
        assert await actors.commit(DID, lambda _: writes) is None  # noqa: B023
        with pytest.raises(SwapMismatch):
            await commit(actors, DID, writes, swap_commit=OTHER)
        assert (await actors.read(DID, lambda actor: actor.repo.head())).cid == first.cid
    await actors.read(DID, contents)


async def test_commit_asked_for_without_writes_is_one_of_the_same_records(
    actors: ActorStore,
) -> None:
    first = await commit(actors, DID, [post("a")])
    second = await actors.transact(DID, lambda actor: actor.recommit())
    assert second.data == first.data == second.prev_data
    assert second.cid != first.cid
    assert second.rev > first.rev
    assert len(await actors.read(DID, contents)) == 1


async def test_record_block_stays_while_another_record_has_it(actors: ActorStore) -> None:
    await commit(actors, DID, [post("a", "same"), post("b", "same")])
    cid = post("a", "same").cid
    assert cid is not None
    await commit(actors, DID, [delete("a")])
    assert await actors.read(DID, lambda actor: actor.repo.get_block(cid))
    await actors.read(DID, contents)
    await commit(actors, DID, [edit("b", "other")])
    assert await actors.read(DID, lambda actor: actor.repo.find_blocks([cid])) == {}
    await actors.read(DID, contents)


async def test_record_that_moves_to_another_key_keeps_its_block_and_its_rev(
    actors: ActorStore,
) -> None:
    first = await commit(actors, DID, [post("a", "same")])
    await commit(actors, DID, [delete("a"), post("b", "same")])
    await actors.read(DID, contents)
    cid = post("a", "same").cid
    since = await actors.read(DID, lambda actor: b"".join(actor.repo.iter_car(first.rev)))
    assert cid not in dict(CarReader(BytesIO(since)))


async def test_record_written_twice_in_one_commit_leaves_only_the_last(actors: ActorStore) -> None:
    writes = [post("a", "one"), edit("a", "two"), post("b", "gone"), delete("b")]
    data = await commit(actors, DID, writes)
    assert [(op.action, op.path) for op in data.ops] == [("create", f"{POST}/a")]
    assert post("a", "one").cid not in data.event_blocks
    assert post("b", "gone").cid not in data.event_blocks
    assert await actors.read(DID, contents) == {f"{POST}/a": edit("a", "two").cid}


async def test_update_to_the_same_record_is_no_operation_beside_others(
    actors: ActorStore,
) -> None:
    await commit(actors, DID, [post("a")])
    data = await commit(actors, DID, [edit("a", "hello"), post("b", "new")])
    assert [(op.action, op.path) for op in data.ops] == [("create", f"{POST}/b")]
    assert post("a").cid not in data.event_blocks
    assert set(await actors.read(DID, contents)) == {f"{POST}/a", f"{POST}/b"}


async def _unchanged(store: ActorStore, head: CommitData, writes: list[PreparedWrite]) -> None:
    """Check that the store has not changed since the commit of `writes` at `head`."""
    records = await store.read(DID, contents)
    assert records == {write.path: write.cid for write in writes}
    assert (await store.read(DID, lambda actor: actor.repo.head())).cid == head.cid


@pytest.mark.parametrize(
    ("writes", "error"),
    [
        ([post("new"), post("a", "again")], RecordExists),
        ([post("new"), edit("b", "x")], RecordNotFound),
        ([post("new"), delete("b")], RecordNotFound),
        ([post("new"), put(POST, "a", action="update", swap=OTHER, text="x")], SwapMismatch),
        ([post("new"), PreparedWrite("delete", POST, "a", swap_record=OTHER)], SwapMismatch),
        ([post("new"), PreparedWrite("delete", POST, "a", swap_record=None)], SwapMismatch),
        ([post("new"), put(POST, "b", swap=OTHER, text="x")], SwapMismatch),
        ([post("new"), post("not a key")], InvalidMst),
        ([post(str(n)) for n in range(201)], TooManyWrites),
        ([post(str(n), f"{n}" * 300_000) for n in range(7)], TooManyWrites),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
async def test_refused_commit_changes_nothing(
    actors: ActorStore, writes: list[PreparedWrite], error: type[Exception]
) -> None:
    first = await commit(actors, DID, [post("a")])
    with pytest.raises(error):
        await commit(actors, DID, writes)
    await _unchanged(actors, first, [post("a")])
    await commit(actors, DID, [post("c")])
    assert len(await actors.read(DID, contents)) == 2


async def test_keys_chosen_for_a_huge_tree_node_are_refused(actors: ActorStore) -> None:
    names = map(str, itertools.count())
    lowest = (name for name in names if key_height(f"{POST}/{name}".encode()) == 0)
    chosen = [*islice(lowest, MAX_KEYS + 1)]
    for start in range(0, MAX_KEYS, 200):
        await commit(actors, DID, [post(name) for name in chosen[start : start + 200]])
    with pytest.raises(NodeTooLarge):
        await commit(actors, DID, [post(chosen[-1])])
    await commit(actors, DID, [delete(chosen[0])])
    assert len(await actors.read(DID, contents)) == MAX_KEYS - 1


async def test_two_hundred_writes_fit(actors: ActorStore) -> None:
    await commit(actors, DID, [post(str(n)) for n in range(200)])
    assert len(await actors.read(DID, contents)) == 200


async def test_swap_commit_must_be_the_current_commit(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a")])
    second = await commit(actors, DID, [post("b")], swap_commit=first.cid)
    with pytest.raises(SwapMismatch) as caught:
        await commit(actors, DID, [post("c")], swap_commit=first.cid)
    assert (caught.value.expected, caught.value.current) == (first.cid, second.cid)
    assert str(caught.value) == f"Commit was at {second.cid}"
    await _unchanged(actors, second, [post("a"), post("b")])


async def test_swap_record_that_matches_lets_the_write_through(actors: ActorStore) -> None:
    await commit(actors, DID, [replace(post("a"), swap_record=None)])
    change = edit("a", "two")
    await commit(actors, DID, [replace(change, swap_record=post("a").cid)])
    await commit(actors, DID, [PreparedWrite("delete", POST, "a", swap_record=change.cid)])
    assert await actors.read(DID, contents) == {}


async def test_swap_failure_of_a_record_names_what_is_there(actors: ActorStore) -> None:
    with pytest.raises(SwapMismatch, match=r"^Record was at null$"):
        await commit(actors, DID, [put(POST, "a", swap=OTHER, text="x")])


async def test_rev_rises_although_the_repo_is_ahead_of_the_clock(actors: ActorStore) -> None:
    future = "7777777777777"
    await actors.transact(
        DID, lambda actor: actor.repo._db.run("UPDATE repo_root SET rev = ?", (future,))
    )
    data = await commit(actors, DID, [post("a")])
    assert data.rev > future
    assert data.since == future


async def test_rev_rises_above_one_that_consumers_have_seen(actors: ActorStore) -> None:
    lost = "7777777777777"
    data = await actors.transact(DID, lambda actor: actor.recommit(above_rev=lost))
    assert data.rev > lost
    assert data.since is not None
    assert data.since < lost
    again = await actors.transact(DID, lambda actor: actor.recommit(above_rev=data.since))
    assert again.rev > data.rev


async def test_planned_commit_sees_the_state_it_changes(actors: ActorStore) -> None:
    await commit(actors, DID, [post("a")])
    write = edit("a", "two")
    data = await actors.commit(
        DID, lambda actor: [write] if actor.record.find_cid(POST, "a") else None
    )
    assert data is not None
    assert data.ops[0].prev == post("a").cid


async def test_plan_for_nothing_makes_no_commit(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a")])
    assert await actors.commit(DID, lambda _: None, swap_commit=OTHER) is None
    await _unchanged(actors, first, [post("a")])


async def test_transaction_that_fails_after_a_commit_rolls_it_back(actors: ActorStore) -> None:
    first = await commit(actors, DID, [post("a")])

    def fail(actor: ActorStoreTransactor) -> None:
        actor.commit([post("b")])
        raise LookupError

    with pytest.raises(LookupError):
        await actors.transact(DID, fail)
    await _unchanged(actors, first, [post("a")])


_writes = st.lists(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["one", "two", "three", None])),
        min_size=1,
        max_size=6,
        unique_by=lambda change: change[0],
    ),
    max_size=10,
)


@given(batches=_writes)
@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_store_holds_exactly_the_tree_after_any_commits(
    actors: ActorStore, batches: list[list[tuple[int, str | None]]]
) -> None:
    model = await actors.read(DID, contents)
    for batch in batches:
        writes = []
        for number, text in batch:
            rkey = f"{number}"
            path = f"{POST}/{rkey}"
            if text is None:
                if path in model:
                    del model[path]
                    writes.append(delete(rkey))
                continue
            write = edit(rkey, text) if path in model else post(rkey, text)
            assert write.cid is not None
            model[path] = write.cid
            writes.append(write)
        await actors.commit(DID, lambda _: writes)  # noqa: B023
        assert await actors.read(DID, contents) == model


async def test_limit_of_an_event_counts_all_bytes_of_its_car(actors: ActorStore) -> None:
    """Of blocks far below the limit, the CIDs and lengths add what takes the CAR above it."""
    rkeys = [f"{n:03}".ljust(500, "x") for n in range(199)]

    def writes(size: int) -> list[PreparedWrite]:
        return [
            post("last", "y" * size),
            *(post(rkey, f"{rkey[:3]}{'x' * 9000}") for rkey in rkeys),
        ]

    data = await commit(actors, DID, [post("before")])
    low, high = 0, 200_000
    while high - low > 1:
        size = (low + high) // 2
        try:
            data = await commit(actors, DID, writes(size))
        except TooManyWrites:
            assert len(await actors.read(DID, contents)) == 1
            high = size
            continue
        low = size
        await commit(actors, DID, [delete(write.rkey) for write in writes(size)])
    assert 1_999_997 <= len(encode_car((data.cid,), data.event_blocks.items())) <= 2_000_000
    assert sum(map(len, data.event_blocks.values())) < 1_993_000


async def test_large_repo_survives_restarts_between_commits(actors: ActorStore) -> None:
    numbers = list(range(600))
    random.Random(1).shuffle(numbers)
    for start in range(0, 600, 200):
        await commit(actors, DID, [post(f"{n}") for n in numbers[start : start + 200]])
        actors.open_stores.discard(DID)
        actors.nodes.clear()
    await commit(actors, DID, [delete(f"{n}") for n in numbers[:150]])
    assert len(await actors.read(DID, contents)) == 450
