"""Several WebSocket messages in one write, as a client that nobody here wrote reads them."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from pds.api.sync.frame_writer import FrameWriter

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 200_000)


async def received(messages: list[bytes], *, at_once: int) -> list[bytes]:
    """What a client gets of messages of which so many are written together."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, writer_limit=1)
        await socket.prepare(request)
        writer = FrameWriter(socket, request)
        for number, message in enumerate(messages, start=1):
            writer.add(message)
            if number % at_once == 0:
                await writer.write()
        await writer.write()
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client, client.ws_connect("/", max_msg_size=0) as ws:
        got = [message async for message in ws]
    assert {message.type for message in got} == {WSMsgType.BINARY}
    return [message.data for message in got]


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
async def test_messages_of_every_size_arrive_as_they_were(at_once: int) -> None:
    messages = [bytes([n % 256]) * size for n, size in enumerate(SIZES * 2) if size]
    assert await received(messages, at_once=at_once) == messages


async def test_a_write_waits_for_a_client_that_does_not_read() -> None:
    sent = 0

    async def handle(request: web.Request) -> web.WebSocketResponse:
        nonlocal sent
        socket = web.WebSocketResponse(compress=False, writer_limit=1)
        await socket.prepare(request)
        writer = FrameWriter(socket, request)
        while True:
            for _ in range(4):
                writer.add(bytes(16_384))
            await writer.write()
            sent += 1

    app = web.Application()
    app.router.add_get("/", handle)
    async with TestClient(TestServer(app)) as client:
        transport = (await client.ws_connect("/"))._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < 1_000
