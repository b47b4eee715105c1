"""Streams: made in threads from one state, at the pace of their consumer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from actor_store.errors import ActorStoreDamaged
from actor_store.reader import ActorStoreReader
from actor_store.store import ActorStore
from tests.actor_store.support import DID, collect, commit, contents, post


class Counter:
    """A source of parts that records how far it got and whether it was abandoned."""

    def __init__(self, parts: int, *, fail_at: int = -1) -> None:
        self.made = 0
        self.ended = threading.Event()
        self.thread: threading.Thread | None = None
        self._parts = parts
        self._fail_at = fail_at

    def __call__(self, actor: ActorStoreReader) -> Iterator[bytes]:
        self.thread = threading.current_thread()
        try:
            for number in range(self._parts):
                if number == self._fail_at:
                    raise ActorStoreDamaged(DID, "halfway")
                actor.repo.head()
                self.made += 1
                yield b"x"
        finally:
            self.ended.set()


async def test_stream_is_made_in_another_thread(actors: ActorStore) -> None:
    source = Counter(5)
    assert await collect(actors.stream(DID, source)) == b"xxxxx"
    assert source.thread is not threading.current_thread()


async def test_slow_consumer_holds_two_parts_and_no_thread(actors: ActorStore) -> None:
    sources = [Counter(100) for _ in range(20)]
    streams = [actors.stream(DID, source) for source in sources]
    for stream in streams:
        assert await anext(stream) == b"x"
    # All threads are free for others, though twenty streams are open.
    assert await actors.read_in_thread(DID, contents) == {}
    assert all(source.made <= 2 for source in sources)
    for stream in streams:
        await stream.aclose()
    for source in sources:
        assert await asyncio.to_thread(source.ended.wait, 10)


async def test_stream_shows_the_state_in_which_it_began(actors: ActorStore) -> None:
    def parts(actor: ActorStoreReader) -> Iterator[bytes]:
        for _ in range(4):
            yield str(actor.record.count()).encode()

    stream = actors.stream(DID, parts)
    assert await anext(stream) == b"0"
    await commit(actors, DID, [post("a")])
    assert await collect(stream) == b"000"


async def test_cancelled_consumer_ends_the_stream(actors: ActorStore) -> None:
    source = Counter(1_000_000)
    begun = asyncio.Event()

    async def consume() -> None:
        async for _ in actors.stream(DID, source):
            begun.set()

    task = asyncio.ensure_future(consume())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(source.ended.wait, 10)


async def test_error_halfway_reaches_the_consumer(actors: ActorStore) -> None:
    source = Counter(10, fail_at=3)
    stream = actors.stream(DID, source)
    got = [await anext(stream) for _ in range(3)]
    assert got == [b"x"] * 3
    with pytest.raises(ActorStoreDamaged):
        await anext(stream)
    assert source.ended.is_set()


async def test_error_in_a_part_nobody_waits_for_is_not_reported(actors: ActorStore) -> None:
    source = Counter(10, fail_at=1)
    stream = actors.stream(DID, source)
    await anext(stream)
    assert await asyncio.to_thread(source.ended.wait, 10)
    await stream.aclose()


async def test_closing_the_store_waits_for_streams_given_up(actors: ActorStore) -> None:
    source = Counter(100)
    stream = actors.stream(DID, source)
    await anext(stream)
    await stream.aclose()
    await actors.close()
    assert source.ended.is_set()
