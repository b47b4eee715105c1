"""What one client has of the connections to the AppView, and how long it may keep one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from pds.fairness.proxy_share import EACH, LARGE_EACH, ProxyShare
from pds.proxy import downstream, upload
from tests.pds.conftest import Account, Pds
from tests.pds.upstream import Endless, Upstream

SEARCH = "app.bsky.actor.searchActors"
PATH = f"/xrpc/{SEARCH}"
RESOLVE = "com.atproto.identity.resolveHandle"
ELSEWHERE = {"X-Forwarded-For": "192.0.2.7"}


@pytest.fixture
async def crowd(pds: Pds) -> AsyncIterator[Pds]:
    """A client with any number of connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield replace(pds, http=http)


class HangFor:
    """Answers some at once, and others never."""

    def __init__(self) -> None:
        self.waiting = 0
        self.changed = asyncio.Event()
        self.quick = False

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        if self.quick:
            return web.json_response({})
        self.waiting += 1
        self.changed.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def has(self, number: int) -> None:
        while self.waiting < number:
            self.changed.clear()
            await self.changed.wait()


async def end(tasks: list[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_an_account_has_a_share_of_the_connections(
    crowd: Pds, alice: Account, bob: Account, appview: Upstream
) -> None:
    appview.answer = hang = HangFor()
    # From ever other addresses.
    asking: list[asyncio.Task[object]] = [
        asyncio.create_task(
            crowd.get(SEARCH, {**alice.auth, "X-Forwarded-For": f"192.0.2.{number}"})
        )
        for number in range(EACH + 20)
    ]
    await hang.has(EACH)
    hang.quick = True
    assert (await crowd.get(SEARCH, bob.auth)).status == 200
    assert hang.waiting == EACH
    await end(asking)


async def test_an_address_has_a_share_of_the_connections(
    crowd: Pds, bob: Account, appview: Upstream
) -> None:
    """Also who has no account: the AppView is asked about handles and records of strangers."""
    appview.answer = hang = HangFor()
    asking: list[asyncio.Task[object]] = [
        asyncio.create_task(crowd.get(RESOLVE, handle=f"n{number}.example.com"))
        for number in range(EACH + 20)
    ]
    await hang.has(EACH)
    hang.quick = True
    assert (await crowd.get(SEARCH, {**bob.auth, **ELSEWHERE})).status == 200
    assert hang.waiting == EACH
    await end(asking)


async def test_beyond_the_queue_a_client_is_told_to_come_again(
    crowd: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answer = hang = HangFor()
    asking: list[asyncio.Task[object]] = [
        asyncio.create_task(crowd.get(SEARCH, alice.auth)) for _ in range(3 * EACH)
    ]
    await hang.has(EACH)
    # All others are in the queue once one more is refused.
    while (reply := await crowd.get(SEARCH, alice.auth)).status != 503:
        pass
    assert reply.error == (503, "NotEnoughResources")
    assert reply.headers["Retry-After"] == "2"
    await end(asking)


# --- Bodies


async def test_a_short_body_is_read_before_a_connection_is_taken(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * (upload.HELD_BYTES - 1)
        begun.set()
        await go_on.wait()
        yield b"y"

    sending = asyncio.create_task(pds.request("POST", PATH, headers=alice.auth, data=body()))
    await begun.wait()
    assert (await pds.get(SEARCH, alice.auth)).status == 200
    assert [received.method for received in appview.received] == ["GET"]
    assert running(pds.ctx.proxy_share) == 0
    go_on.set()
    assert (await sending).status == 200
    assert appview.last.body == b"x" * (upload.HELD_BYTES - 1) + b"y"


async def test_an_account_sends_few_long_bodies_at_a_time(
    crowd: Pds, alice: Account, appview: Upstream
) -> None:
    hang = HangFor()
    appview.unread = hang

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 2 * upload.HELD_BYTES
        await asyncio.Event().wait()

    sending: list[asyncio.Task[object]] = [
        asyncio.create_task(crowd.request("POST", PATH, headers=alice.auth, data=body()))
        for _ in range(2 * LARGE_EACH)
    ]
    await hang.has(LARGE_EACH)
    appview.unread = None
    assert (await crowd.get(SEARCH, alice.auth)).status == 200
    assert hang.waiting == running(crowd.ctx.proxy_share) == LARGE_EACH
    await end(sending)


# --- Answers


async def test_a_client_that_does_not_read_its_answer_keeps_no_connection(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers_bytes(b"x" * downstream.HELD_BYTES)
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_000)
    head = f"Host: x\r\nAuthorization: Bearer {alice.access_jwt}\r\n\r\n"
    writer.write(f"GET {PATH} HTTP/1.1\r\n{head}".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert running(pds.ctx.proxy_share) == 0
    rest = b""
    while not rest.endswith(b"x" * downstream.HELD_BYTES):
        rest += await reader.read(2**16)
    writer.close()


async def test_a_client_that_trickles_its_answer_in_is_cut_off(
    pds: Pds, alice: Account, appview: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part in good time, and yet nothing gets on."""
    monkeypatch.setattr("pds.fairness.answer_pace.PACE_S", 0.3)
    monkeypatch.setattr("pds.fairness.answer_pace.PACE_BYTES", 2**30)
    appview.answer = endless = Endless()
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**16)
    head = f"Host: x\r\nAuthorization: Bearer {alice.access_jwt}\r\n\r\n"
    writer.write(f"GET {PATH} HTTP/1.1\r\n{head}".encode())
    async with asyncio.timeout(30):
        while not endless.ended.is_set():
            await reader.read(2**12)
            await asyncio.sleep(0.01)
    assert endless.ended.is_set()
    writer.close()


# --- Pages


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml; charset=utf-8", "x/y", None],
)
async def test_what_a_browser_might_show_is_neither_guessed_nor_run(
    pds: Pds, alice: Account, appview: Upstream, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    appview.answers_bytes(b"<script>alert(1)</script>", headers=headers)
    for reply in (
        await pds.get(SEARCH, alice.auth),
        await pds.get("app.bsky.feed.getTimeline", alice.auth),
    ):
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


async def test_json_needs_no_such_headers(pds: Pds, alice: Account, appview: Upstream) -> None:
    appview.answers_json({})
    reply = await pds.get(SEARCH, alice.auth)
    assert "Content-Security-Policy" not in reply.headers


def running(share: ProxyShare) -> int:
    return sum(turns.running for turns in share._turns.values())
