"""Connections are bounded: idle ones give way, and health is answered when all are busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from database.open_files import OpenFiles
from pds.server import connection_limit
from pds.server.connection_limit import ConnectionLimit
from pds.server.connections import HEALTH_PATH, TimedRunner

LIMIT = 160
"""Of open files: 32 connections, and 9 more for health."""


@dataclass(slots=True)
class Site:
    """A small application on a server with few files, and handlers that end when they may."""

    host: str = "127.0.0.1"
    port: int = 0
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    busy: int = 0
    open_files: int = 60

    async def wait(self, _request: web.Request) -> web.Response:
        self.busy += 1
        await self.may_end.wait()
        return web.Response(text="done")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def ask(
        self, path: str, *, method: str = "GET", body: str = "", client: str = "nobody"
    ) -> tuple[int, str, str]:
        """The status, headers and body of an answer on a connection of its own."""
        reader, writer = await self.connect()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        head += f"User-Agent: {client}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n{body}".encode())
        answer = (await asyncio.wait_for(reader.read(), 20)).decode()
        writer.close()
        headers, _, text = answer.partition("\r\n\r\n")
        return int(headers.split(" ", 2)[1]), headers, text


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()

    async def quick(_request: web.Request) -> web.Response:
        return web.Response(text="fine")

    app.router.add_get("/wait", site.wait)
    app.router.add_route("*", "/quick", quick)
    app.router.add_get(HEALTH_PATH, quick)
    files = OpenFiles(limit=LIMIT, count=lambda: site.open_files)
    runner = TimedRunner(app, files=files, client_of=client_of, keepalive_timeout=90.0)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, site.host, 0).start()
        site.port = runner.addresses[0][1]
        stack.callback(site.may_end.set)
        yield site


def client_of(request: web.BaseRequest) -> str:
    """Who a test says that it is."""
    return request.headers.get("User-Agent", "nobody")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (of another task)
            await asyncio.sleep(0.005)


async def make_busy(
    stack: AsyncExitStack, site: Site, connections: int, client: str = "nobody"
) -> list[asyncio.StreamReader]:
    """Let so many connections wait for an answer."""
    before = site.busy
    readers = []
    for _ in range(connections):
        reader, writer = await site.connect()
        stack.callback(writer.close)
        writer.write(f"GET /wait HTTP/1.1\r\nHost: x\r\nUser-Agent: {client}\r\n\r\n".encode())
        readers.append(reader)
    await until(lambda: site.busy == before + connections)
    return readers


async def test_connections_that_idle_are_closed_for_those_that_ask(site: Site) -> None:
    async with AsyncExitStack() as stack:
        idle = []
        for _ in range(3 * LIMIT):
            reader, writer = await site.connect()
            stack.callback(writer.close)
            idle.append(reader)
        assert (await site.ask("/quick"))[0] == 200
        assert await asyncio.wait_for(idle[0].read(), 20) == b"", "the oldest has been closed"
        still_open = sum(not reader.at_eof() for reader in idle)
        assert still_open <= ConnectionLimit(OpenFiles(limit=LIMIT)).max_connections + 1


async def test_the_one_that_has_idled_longest_is_closed_first(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "FRESH_S", 0.0)
    monkeypatch.setattr(connection_limit, "KEPT_S", 0.0)
    request = b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"
    async with AsyncExitStack() as stack:

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await site.connect()
            stack.callback(writer.close)
            return reader, writer

        first_reader, first_writer = await connect()
        others = [(await connect())[0] for _ in range(25)]
        # Now the first connection has been used last.
        first_writer.write(request)
        assert (await first_reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200")
        for _ in range(10):
            await connect()
        assert await asyncio.wait_for(others[0].read(), 20) == b""
        first_writer.write(request)
        assert (await first_reader.readuntil(b"fine")).startswith(b"HTTP/1.1 200")


def test_one_that_has_been_answered_is_kept_before_those_that_never_asked() -> None:
    limit = ConnectionLimit(OpenFiles(limit=LIMIT, count=lambda: 60))
    answered = Carrier(None, is_idle=True, unused_s=1.0)
    others = [Carrier(None, is_idle=True, has_asked=False, unused_s=0.2) for _ in range(31)]
    assert limit.admit(Carrier(None), [answered, *others, Carrier(None)])
    assert answered.is_open
    assert not all(other.is_open for other in others)
    # Even if the others come and go so fast that none is old enough to be closed.
    fresh = [Carrier(None, is_idle=True, has_asked=False) for _ in range(32)]
    assert not limit.admit(Carrier(None), [answered, *fresh])
    assert answered.is_open


async def test_a_connection_whose_request_may_be_there_is_not_closed_as_idle(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limit, "FRESH_S", 60.0)
    async with AsyncExitStack() as stack:
        await make_busy(stack, site, 31, "greedy")
        reader, writer = await site.connect()
        stack.callback(writer.close)
        for number in range(5):
            assert (await site.ask("/quick", client=f"new-{number}"))[0] == 200
        writer.write(b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 20)).startswith(b"HTTP/1.1 200")


async def test_a_request_too_many_is_refused_with_an_answer(site: Site) -> None:
    async with AsyncExitStack() as stack:
        await make_busy(stack, site, 32)
        status, headers, body = await site.ask("/quick")
        assert status == 503
        assert "NotEnoughResources" in body
        assert "Retry-After: 5" in headers
        assert (await site.ask("/quick", method="POST", body="x" * 100_000))[0] == 503
        site.may_end.set()
    async with asyncio.timeout(20):
        while (await site.ask("/quick"))[0] != 200:
            pass  # The server has yet to see that the others are gone.


async def test_a_client_with_many_busy_connections_gives_way_to_one_with_fewer(site: Site) -> None:
    async with AsyncExitStack() as stack:
        modest = await make_busy(stack, site, 4, "modest")
        greedy = await make_busy(stack, site, 28, "greedy")
        for number in range(10):
            assert (await site.ask("/quick", client=f"new-{number}"))[0] == 200
        assert (await site.ask("/quick", client="modest"))[0] == 200
        assert (await site.ask("/quick", client="greedy"))[0] == 503
        assert 0 < await count_cut_off(greedy) < 12
        assert not any(reader.exception() or reader.at_eof() for reader in modest)


async def count_cut_off(readers: Sequence[asyncio.StreamReader]) -> int:
    """How many connections have been cut off; waits for the first."""
    async with asyncio.timeout(20):
        while True:
            found = [reader.exception() for reader in readers]
            if number := sum(isinstance(each, ConnectionResetError) for each in found):
                return number
            await asyncio.sleep(0.01)


async def test_clients_that_have_as_many_busy_connections_give_way_to_nobody(site: Site) -> None:
    async with AsyncExitStack() as stack:
        for number in range(32):
            await make_busy(stack, site, 1, f"client-{number}")
        assert (await site.ask("/quick", client="new"))[0] == 503


@dataclass(eq=False)
class Carrier:
    """A connection that a proxy uses for one client after another."""

    client: str | None
    is_idle: bool = False
    has_asked: bool = True
    is_open: bool = True
    unused_s: float = 0.0
    is_cut_off: bool = False

    def force_close(self) -> None:
        self.is_open = False

    def cut_off(self) -> None:
        self.is_cut_off = True


def test_a_connection_counts_for_the_client_that_has_its_present_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_limit, "_SHARE_OF_TIME", 1e9)
    limit = ConnectionLimit(OpenFiles(limit=LIMIT, count=lambda: 60))
    carriers = [Carrier("greedy") for _ in range(10)]
    assert limit.make_way(Carrier("first"), "first", carriers)
    assert carriers.pop().is_cut_off
    # They have been counted. Since then the proxy has passed on requests of others on some.
    for number, carrier in enumerate(carriers[-4:]):
        carrier.client = f"modest-{number}"
    assert limit.make_way(Carrier("second"), "second", carriers)
    assert [carrier.is_cut_off for carrier in carriers] == [False] * 4 + [True] + [False] * 4


def test_connections_are_no_more_than_there_is_memory_for_though_files_are_plenty() -> None:
    assert ConnectionLimit(OpenFiles(limit=1_000_000)).max_connections == 4_096


async def test_health_is_answered_when_all_connections_are_busy(site: Site) -> None:
    async with AsyncExitStack() as stack:
        await make_busy(stack, site, 32)
        for _ in range(20):
            assert (await site.ask(HEALTH_PATH))[0] == 200


async def test_connections_too_many_that_say_nothing_do_not_keep_health_out(site: Site) -> None:
    async with AsyncExitStack() as stack:
        await make_busy(stack, site, 32)
        for _ in range(50):
            _, writer = await site.connect()
            stack.callback(writer.close)
        assert (await site.ask(HEALTH_PATH))[0] == 200


async def test_files_of_others_count_too(site: Site) -> None:
    site.open_files = LIMIT
    async with AsyncExitStack() as stack:
        await make_busy(stack, site, 0)
        assert (await site.ask("/quick"))[0] == 503
        assert (await site.ask(HEALTH_PATH))[0] == 200
