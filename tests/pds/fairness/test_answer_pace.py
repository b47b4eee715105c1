"""The least pace: clients that take nothing, or next to nothing, lose their connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from pds.fairness import answer_pace
from pds.server.app import make_runner
from tests.more_time import with_more_time

WINDOW_S = 0.2
ANSWER = b"x" * 20_000_000


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_pace, "PACE_S", WINDOW_S)


@asynccontextmanager
async def served(answer: bytes = ANSWER) -> AsyncIterator[tuple[int, web.Server]]:
    """A server of one answer: its port, and what knows its connections."""

    async def give(request: web.Request) -> web.Response:
        if request.headers.get("Connection") == "close":
            # Then nobody writes any more who could notice that there is no room.
            assert request.transport is not None
            request.transport.set_write_buffer_limits(high=2 * len(answer))
        return web.Response(body=answer)

    app = web.Application()
    app.router.add_get("/", give)
    runner = make_runner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert runner.server is not None
    try:
        yield runner.addresses[0][1], runner.server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    port: int, *, headers: bytes = b"", room_bytes: int = 4096
) -> AsyncIterator[socket.socket]:
    """A client that has asked, and takes nothing by itself."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n")
        yield client


async def take(client: socket.socket, size: int) -> int:
    """Take up to `size` bytes; 0 at the end of the connection, however that ends."""
    loop = asyncio.get_running_loop()
    try:
        return len(await loop.sock_recv(client, size))
    except ConnectionError:
        return 0


async def until_gone(server: web.Server) -> None:
    async with asyncio.timeout(20):
        while server.connections:  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0.01)


async def test_a_client_that_takes_nothing_of_an_answer_loses_its_connection() -> None:
    async with served() as (port, server), asking(port) as client:
        await take(client, 1)
        await until_gone(server)


async def test_a_client_that_drips_loses_its_connection() -> None:
    async with served() as (port, server), asking(port) as client:

        async def drip() -> None:
            while await take(client, 10):  # noqa: ASYNC110 (a pace)
                await asyncio.sleep(0.005)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(drip())
            await until_gone(server)


async def test_a_slow_client_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_pace, "PACE_BYTES", 4096)
    answer = b"x" * 4_000_000

    async def attempt(window_s: float) -> None:
        monkeypatch.setattr(answer_pace, "PACE_S", window_s)
        async with (
            served(answer) as (port, server),
            asking(port, room_bytes=65_536) as client,
        ):
            taken = 0
            while taken < len(answer):
                got = await take(client, 40_000)
                assert got, f"cut off after {taken} bytes"
                taken += got
                # So that it takes several windows.
                await asyncio.sleep(window_s / 30)
            assert server.connections

    await with_more_time(attempt)


async def test_a_long_answer_must_keep_a_higher_pace_on_average(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_pace, "PACE_BYTES", 1)
    monkeypatch.setattr(answer_pace, "GRACE_S", 2 * WINDOW_S)
    monkeypatch.setattr(answer_pace, "GRACE_PACE_BYTES", 1 << 30)
    async with served() as (port, server), asking(port) as client:

        async def take_steadily() -> None:
            while await take(client, 10_000):  # noqa: ASYNC110 (a pace)
                await asyncio.sleep(0.01)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(take_steadily())
            await until_gone(server)


async def test_a_connection_that_is_closed_does_not_wait_for_the_rest_to_be_taken() -> None:
    closing = b"Connection: close\r\n"
    async with served() as (port, server), asking(port, headers=closing) as client:
        await take(client, 1)
        await until_gone(server)


async def test_a_connection_without_anything_to_take_stays() -> None:
    async with served(b"short") as (port, server), asking(port) as client:
        await take(client, 1000)
        await asyncio.sleep(3 * WINDOW_S)
        assert server.connections
        with suppress(BlockingIOError):
            assert client.recv(1000), "closed"
