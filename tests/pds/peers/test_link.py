"""Calls from one process to another, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from database.durability import EVENTUAL, Durability, GroupSync
from database.errors import DatabaseBusy
from database.opening import open_database
from pds.peers.calls import by_all, by_first, by_owner, telling, told
from pds.peers.link import Link, PeerGone
from pds.peers.peers import Peers, owner_number
from pds.peers.service import PeerService
from tests.syncs import Disk


@dataclass
class Context:
    """What the functions below get."""

    name: str
    peers: Peers = field(default_factory=Peers)
    done: list[object] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    durability: Durability = EVENTUAL


@by_first
async def where(ctx: Context, value: object) -> tuple[str, object]:
    """Return where this ran, and what it got."""
    ctx.done.append(value)
    return ctx.name, value


@by_first
async def fail(ctx: Context, error: Exception) -> None:
    """Raise `error`."""
    raise error


@by_first
async def commit(ctx: Context, path: Path) -> None:
    """Commit something."""
    with closing(open_database(path, durability=ctx.durability)) as db, db.transaction():
        db.run("CREATE TABLE t (x)")


@by_first
async def wait(ctx: Context) -> str:
    """Wait until it may go on."""
    try:
        await ctx.go_on.wait()
    except asyncio.CancelledError:
        ctx.done.append("cancelled")
        raise
    return ctx.name


@by_first
async def answer_oddly(ctx: Context) -> object:
    """Return what cannot be sent."""
    return lambda: ctx


@by_owner
async def write(ctx: Context, did: str) -> str:
    """Return where an actor is written."""
    return ctx.name


@by_all
async def name_of(ctx: Context) -> str:
    """Return the name of each process."""
    return ctx.name


@told
def note(ctx: Context, value: object) -> None:
    """Keep what is told."""
    ctx.done.append(value)


@dataclass
class Pair:
    """A first process and a worker that calls it, in one event loop."""

    first: Context
    worker: Context
    service: PeerService


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    first = Context("first")
    service = PeerService(first)
    await service.listen(tmp_path / "first")
    worker = Context("worker", Peers(first=Link(tmp_path / "first"), workers=[None]))
    yield Pair(first, worker, service)
    worker.peers.close()
    await service.close()


async def test_a_server_that_is_one_process_calls_directly() -> None:
    alone = Context("alone")
    value = object()  # Nothing is pickled.
    assert await where(alone, value) == ("alone", value)
    assert await write(alone, "did:web:a") == "alone"
    assert await name_of(alone) == ["alone"]


async def test_a_call_runs_in_the_other_process(pair: Pair) -> None:
    assert await where(pair.worker, {"a": [1]}) == ("first", {"a": [1]})
    assert await name_of(pair.worker) == ["worker", "first"]


async def test_a_call_is_answered_when_what_it_wrote_is_synced(
    pair: Pair, disk: Disk, tmp_path: Path
) -> None:
    pair.first.durability = GroupSync()
    let_go = disk.hold("other.sqlite")
    call = asyncio.ensure_future(commit(pair.worker, tmp_path / "other.sqlite"))
    async with asyncio.timeout(10):
        while not disk.begun["other"]:  # noqa: ASYNC110 (a thread counts)
            await asyncio.sleep(0.001)
    await where(pair.worker, None)
    assert not call.done()
    let_go()
    await call
    await pair.first.durability.close()


async def test_calls_begin_in_the_order_in_which_they_were_made(pair: Pair) -> None:
    await asyncio.gather(*(where(pair.worker, n) for n in range(100)))
    assert pair.first.done == list(range(100))


async def test_large_values_arrive_whole(pair: Pair) -> None:
    value = bytes(range(256)) * 8192
    assert await where(pair.worker, value) == ("first", value)


async def test_an_error_is_raised_where_the_call_was_made(pair: Pair) -> None:
    with pytest.raises(DatabaseBusy, match="locked"):
        await fail(pair.worker, DatabaseBusy(Path("a.sqlite"), "locked"))
    assert await where(pair.worker, 1) == ("first", 1)


async def test_an_answer_that_cannot_be_sent_is_an_error_and_not_silence(pair: Pair) -> None:
    with pytest.raises(RuntimeError, match="answer_oddly"):
        await answer_oddly(pair.worker)
    assert await where(pair.worker, 1) == ("first", 1)


async def test_what_cannot_be_sent_is_refused_before_anything_is(pair: Pair) -> None:
    with pytest.raises(Exception, match="pickle"):
        await where(pair.worker, lambda: None)
    assert pair.first.done == []
    assert await where(pair.worker, 1) == ("first", 1)


async def test_cancelling_a_call_cancels_what_it_does(pair: Pair) -> None:
    call = asyncio.ensure_future(wait(pair.worker))
    await where(pair.worker, "it has begun")
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    await where(pair.worker, "and ended")
    assert pair.first.done == ["it has begun", "cancelled", "and ended"]


async def test_what_is_told_arrives_between_the_calls(pair: Pair) -> None:
    await where(pair.worker, 1)
    assert pair.worker.peers.first is not None
    pair.worker.peers.first.tell(telling(note, value=2))
    await where(pair.worker, 3)
    assert pair.first.done == [1, 2, 3]


async def test_a_call_waits_for_a_process_that_is_starting(tmp_path: Path) -> None:
    worker = Context("worker", Peers(first=Link(tmp_path / "first"), workers=[None]))
    call = asyncio.ensure_future(where(worker, 1))
    await asyncio.sleep(0.05)
    service = PeerService(Context("first"))
    await service.listen(tmp_path / "first")
    assert await call == ("first", 1)
    worker.peers.close()
    await service.close()


async def test_whoever_asks_all_does_not_wait_for_those_that_are_not_there(tmp_path: Path) -> None:
    worker = Context("worker", Peers(first=Link(tmp_path / "nobody"), workers=[None]))
    async with asyncio.timeout(1):
        assert await name_of(worker) == ["worker"]


async def test_a_process_that_dies_fails_the_calls_to_it_and_no_others(
    pair: Pair, tmp_path: Path
) -> None:
    call = asyncio.ensure_future(wait(pair.worker))
    await where(pair.worker, "it has begun")
    for channel in pair.service._channels:
        channel._transport.abort()  # type: ignore[union-attr]  # As the system does for it.
    with pytest.raises(PeerGone) as caught:
        await call
    assert caught.value.was_called
    assert await where(pair.worker, "again") == ("first", "again")


async def test_a_process_that_ends_in_order_answers_all_calls(pair: Pair, tmp_path: Path) -> None:
    """Its successor gets the later ones, while it still answers the earlier."""
    call = asyncio.ensure_future(wait(pair.worker))
    await where(pair.worker, "it has begun")
    ending = asyncio.create_task(pair.service.close())
    await asyncio.sleep(0.01)
    successor = PeerService(Context("successor"))
    await successor.listen(tmp_path / "first")
    assert await where(pair.worker, 1) == ("successor", 1)
    pair.first.go_on.set()
    assert await call == "first"
    async with asyncio.timeout(1):
        await ending
    pair.worker.peers.close()
    await successor.close()


async def test_each_actor_is_written_by_one_worker(tmp_path: Path) -> None:
    """Whichever process is asked, and with one of them as with another."""
    contexts = [Context(str(number)) for number in range(3)]
    services = [PeerService(ctx) for ctx in contexts]
    for number, service in enumerate(services):
        await service.listen(tmp_path / str(number))
    for own, ctx in enumerate(contexts):
        ctx.peers = Peers(
            first=Link(tmp_path / "first"),
            workers=[None if n == own else Link(tmp_path / str(n)) for n in range(3)],
        )
    dids = [f"did:web:{n}.test" for n in range(60)]
    for did in dids:
        assert {await write(ctx, did) for ctx in contexts} == {str(owner_number(did, 3))}
    assert {owner_number(did, 3) for did in dids} == {0, 1, 2}
    for ctx in contexts:
        ctx.peers.close()
    for service in services:
        await service.close()
