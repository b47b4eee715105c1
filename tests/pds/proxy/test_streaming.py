"""Bodies that are larger than any buffer, in both directions, and what happens when one breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from pds.proxy.downstream import HELD_BYTES
from tests.pds.conftest import Account, Pds
from tests.pds.upstream import Endless, Hang, Upstream

SEARCH = "app.bsky.actor.searchActors"
PATH = f"/xrpc/{SEARCH}"
PART = bytes(range(256)) * 1024
PARTS = 200
SIZE = len(PART) * PARTS
TURNS = 3_000
"""Turns of the event loop in which everything that can be moved without a reader has been."""


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return {**pds_environ, "PDS_PROXY_MAX_RESPONSE_SIZE": str(SIZE)}


class Flow:
    """A body of `SIZE` bytes, made as it is taken."""

    def __init__(self) -> None:
        self.made = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(PARTS):
            self.made += len(PART)
            yield PART


async def let_everything_move() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def check(body: aiohttp.StreamReader) -> int:
    """Read a `Flow` to its end; returns its length, or that up to the first wrong byte."""
    length = 0
    async for data in body.iter_any():
        start = length % len(PART)
        if data != (PART * 3)[start : start + len(data)]:
            break
        length += len(data)
    return length


async def measure(pds: Pds, account: Account, read: list[int] | None = None) -> None:
    """Read an answer to its end; `read` gets the length of each part."""
    async with pds.http.get(pds.url + PATH, headers=account.auth) as response:
        assert response.status == 200
        async for data in response.content.iter_any():
            if read is not None:
                read.append(len(data))


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_of_any_length_comes_down_at_the_pace_of_the_client(
    pds: Pds, alice: Account, appview: Upstream, announced: bool
) -> None:
    flow = Flow()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(SIZE)} if announced else {})
        await response.prepare(request)
        async for part in flow:
            await response.write(part)
        await response.write_eof()
        return response

    appview.answer = answer
    async with pds.http.get(pds.url + PATH, headers=alice.auth) as response:
        await let_everything_move()
        assert flow.made < SIZE / 2
        assert await check(response.content) == SIZE
        assert response.headers.get("Content-Length") == (str(SIZE) if announced else None)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_of_any_length_goes_up_at_the_pace_of_the_service(
    pds: Pds, alice: Account, appview: Upstream, announced: bool
) -> None:
    flow, arrived = Flow(), asyncio.get_running_loop().create_future()

    async def answer(request: web.Request) -> web.StreamResponse:
        await let_everything_move()
        assert flow.made < SIZE / 2
        arrived.set_result(await check(request.content))
        return web.Response(body=b"{}")

    appview.unread = answer
    headers = {**alice.auth, **({"Content-Length": str(SIZE)} if announced else {})}
    async with pds.http.post(pds.url + PATH, headers=headers, data=flow) as response:
        assert response.status == 200
    assert arrived.result() == SIZE


async def test_both_ways_at_once(pds: Pds, alice: Account, appview: Upstream) -> None:
    """A service that answers while it is still being sent the body."""

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for data in request.content.iter_any():
            await response.write(data)
        await response.write_eof()
        return response

    appview.unread = echo
    async with pds.http.post(pds.url + PATH, headers=alice.auth, data=Flow()) as response:
        assert await check(response.content) == SIZE


async def test_an_answer_before_the_body_has_come_ends_the_exchange(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "TooLarge", "message": "no"}, status=413)

    appview.unread = refuse
    endless = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 200_000
        await endless.wait()

    async with pds.http.post(pds.url + PATH, headers=alice.auth, data=body()) as response:
        assert response.status == 413
        assert (await response.json())["error"] == "TooLarge"
    endless.set()
    appview.unread = None
    assert (await pds.get(SEARCH, alice.auth)).status == 200


# --- Breaking off


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("length", [10, 300_000])
async def test_an_answer_that_breaks_off_never_looks_complete(
    pds: Pds, alice: Account, appview: Upstream, announced: bool, length: int
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {"Content-Length": str(length + 1)} if announced else {}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"x" * length)
        assert request.transport is not None
        request.transport.close()
        return response

    appview.answer = answer
    if length < HELD_BYTES:
        assert (await pds.get(SEARCH, alice.auth)).error == (502, "UpstreamFailure")
    else:
        with pytest.raises(aiohttp.ClientPayloadError):
            await measure(pds, alice)
    appview.answer = None
    assert (await pds.get(SEARCH, alice.auth)).status == 200


async def test_an_answer_without_its_end_is_cut_off_at_the_limit(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answer = endless = Endless(PART)
    read: list[int] = []
    with pytest.raises(aiohttp.ClientPayloadError):
        await measure(pds, alice, read)
    assert SIZE / 2 < sum(read) <= SIZE
    await endless.ended.wait()


async def test_an_answer_that_announces_too_much_is_refused(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    hang = Hang()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(SIZE + 1)})
        await response.prepare(request)
        return await hang(request)

    appview.answer = answer
    reply = await pds.get(SEARCH, alice.auth)
    assert reply.error == (502, "UpstreamFailure")
    assert reply.json["message"] == "The answer of the upstream service is too large"
    await hang.cancelled.wait()


# --- Leaving


async def test_a_client_that_leaves_ends_the_wait_for_an_answer(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answer = hang = Hang()
    waiting = asyncio.create_task(pds.get(SEARCH, alice.auth))
    await hang.reached.wait()
    waiting.cancel()
    assert await hang.cancelled.wait()


async def test_a_client_that_leaves_in_the_middle_ends_the_answer(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    hang = Hang()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(PART * 2)
        return await hang(request)

    appview.answer = answer
    async with pds.http.get(pds.url + PATH, headers=alice.auth) as response:
        await response.content.readany()
        await hang.reached.wait()
        response.close()
    assert await hang.cancelled.wait()


async def test_a_client_that_leaves_while_it_sends_ends_the_upload(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    begun, failed = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            await request.content.readany()
            begun.set()
            await request.content.read()
        except BaseException:
            failed.set()
            raise
        raise AssertionError

    async def body() -> AsyncIterator[bytes]:
        yield PART
        await asyncio.Event().wait()

    appview.unread = answer
    sending = asyncio.create_task(pds.request("POST", PATH, headers=alice.auth, data=body()))
    await begun.wait()
    with capture_logs() as logs:
        sending.cancel()
        await failed.wait()
        appview.unread = None
        assert (await pds.get(SEARCH, alice.auth)).status == 200
    # Nobody blames the service.
    assert "upstream service failed" not in [line["event"] for line in logs]


async def test_a_service_that_leaves_does_not_keep_the_rest_of_the_body(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    """The client learns of it at once, and what it sends later is skipped."""

    async def slam(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    appview.unread = slam
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"Host: x\r\nAuthorization: Bearer {alice.access_jwt}\r\nContent-Length: "
    long = f"{head}200005\r\n\r\n" + "x" * 200_000
    writer.write(f"POST {PATH} HTTP/1.1\r\n{long}".encode())
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 502 ")
    appview.unread = None
    writer.write(b"world" + f"POST {PATH} HTTP/1.1\r\n{head}10\r\n\r\nhelloworld".encode())
    assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
    assert appview.last.body == b"helloworld"
    writer.close()
