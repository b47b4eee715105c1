"""Ending an HTTP server: what was begun is finished, and nothing holds up the end for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from pds.server import draining
from pds.server.run import bind
from tests.processes import free_port


class Site:
    """A small application, and when its handlers begin and may end."""

    def __init__(self) -> None:
        self.url = ""
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_post("/length", self._length)
        self.app.router.add_get("/stream", self._stream)

    async def _length(self, request: web.Request) -> web.Response:
        self.begun.set()
        return web.Response(text=str(len(await request.read())))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first, ")
        self.begun.set()
        await self.may_end.wait()
        await response.write(b"last")
        return response


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def stopping() -> AsyncIterator[AsyncExitStack]:
    """What the server ends with."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def site(stopping: AsyncExitStack) -> Site:
    site, port = Site(), free_port()
    await bind(stopping, "127.0.0.1", port).listen(stopping, site.app)
    site.url = f"http://127.0.0.1:{port}"
    return site


async def test_a_body_that_is_still_arriving_is_read_and_answered(
    site: Site, stopping: AsyncExitStack, http: aiohttp.ClientSession
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 1_000
        await site.may_end.wait()
        yield b"y" * 1_000_000

    answer = asyncio.create_task(_post(http, f"{site.url}/length", body()))
    await site.begun.wait()
    end = asyncio.create_task(stopping.aclose())
    await _refused(site.url)
    assert not end.done()
    site.may_end.set()
    assert await answer == "1001000"
    await end


async def test_an_answer_under_way_is_sent_to_its_end(
    site: Site, stopping: AsyncExitStack, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{site.url}/stream") as response:
        await site.begun.wait()
        end = asyncio.create_task(stopping.aclose())
        await _refused(site.url)
        assert not end.done()
        site.may_end.set()
        assert await response.text() == "first, last"
    await end


async def test_an_idle_connection_holds_nothing_up(
    site: Site, stopping: AsyncExitStack, http: aiohttp.ClientSession
) -> None:
    assert await _post(http, f"{site.url}/length", b"xyz") == "3"
    async with asyncio.timeout(draining.GRACE_S / 2):
        await stopping.aclose()


async def test_a_request_that_crosses_with_the_stop_is_answered_and_told_to_be_the_last(
    site: Site, stopping: AsyncExitStack
) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    request = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    writer.write(request)
    first = await _answer(reader)
    assert b"Connection: close" not in first
    end = asyncio.create_task(stopping.aclose())
    await _refused(site.url)
    writer.write(request)
    last = await _answer(reader)
    assert last.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in last
    assert await reader.read() == b""
    writer.close()
    await end


async def test_a_request_that_does_not_end_is_cut_off(
    site: Site,
    stopping: AsyncExitStack,
    http: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(draining, "GRACE_S", 0.1)
    async with http.get(f"{site.url}/stream") as response:
        await site.begun.wait()
        async with asyncio.timeout(20):
            await stopping.aclose()
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()


async def test_a_subscriber_that_takes_no_farewell_is_cut_off(
    stopping: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "GRACE_S", 0.1)
    site, farewells = Site(), asyncio.Event()

    async def say_farewell(app: web.Application) -> None:
        if not farewells.is_set():
            farewells.set()
            await asyncio.Event().wait()

    site.app.on_shutdown.append(say_farewell)
    await bind(stopping, "127.0.0.1", free_port()).listen(stopping, site.app)
    async with asyncio.timeout(20):
        await stopping.aclose()
    assert farewells.is_set()


async def _post(http: aiohttp.ClientSession, url: str, body: bytes | AsyncIterator[bytes]) -> str:
    async with http.post(url, data=body) as response:
        assert response.status == 200
        return await response.text()


async def _answer(reader: asyncio.StreamReader) -> bytes:
    """Read an answer whose body has one byte."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1)
    return head


async def _refused(url: str) -> None:
    """Wait until new connections are refused."""
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    pass
            except aiohttp.ClientConnectorError:
                return
