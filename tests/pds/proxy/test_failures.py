"""Services that hang, stall, talk nonsense or are not there: bounded, told, and nobody's delay."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from database.open_files import OpenFiles
from tests.more_time import with_more_time
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.upstream import Endless, Hang, Upstream, hurry, register_service, set_patience, via
from tests.processes import free_port

SEARCH = "app.bsky.actor.searchActors"
PATH = f"/xrpc/{SEARCH}"
UNREACHABLE = {"error": "UpstreamFailure", "message": "Upstream service unreachable"}


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return {**pds_environ, "PDS_PROXY_MAX_RETRIES": "2"}


def assert_unreachable(reply: Reply) -> None:
    assert (reply.status, reply.json) == (502, UNREACHABLE)


@asynccontextmanager
async def raw_service(
    pds: Pds, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[dict[str, str]]:
    """A server that need not speak HTTP; gives the header that names it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield via(register_service(pds, {"raw": f"http://127.0.0.1:{port}"}), "raw")


async def test_a_service_that_no_file_is_left_to_connect_to_is_not_called_unreachable(
    pds: Pds, alice: Account, appview: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.proxy_http, "_files", OpenFiles(limit=100, count=lambda: 100))
    reply = await pds.get(SEARCH, alice.auth)
    assert reply.error == (503, "NotEnoughResources")
    assert "limit of open files" in reply.json["message"]
    assert appview.received == []


# --- Silence


async def test_a_service_that_keeps_silent_is_given_up(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    hurry(pds)
    appview.answer = hang = Hang()
    assert_unreachable(await pds.get(SEARCH, alice.auth))
    await hang.cancelled.wait()


async def test_a_service_that_takes_no_body_is_given_up(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    hurry(pds)
    appview.unread = Hang()
    reply = await pds.request("POST", PATH, headers=alice.auth, data=io.BytesIO(bytes(20_000_000)))
    assert_unreachable(reply)


async def test_a_service_that_stalls_before_the_first_part_is_given_up(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    """The head has come, but the client has been told nothing yet."""
    hurry(pds)
    hang = Hang()

    async def answer(request: web.Request) -> web.StreamResponse:
        await web.StreamResponse(headers={"Content-Length": "5"}).prepare(request)
        return await hang(request)

    appview.answer = answer
    assert_unreachable(await pds.get(SEARCH, alice.auth))
    await hang.cancelled.wait()


async def test_time_counts_from_part_to_part(pds: Pds, alice: Account, appview: Upstream) -> None:
    async def attempt(allowed_s: float) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            began = time.monotonic()
            # Twice as long as is allowed between two parts.
            while time.monotonic() < began + 2 * allowed_s:
                await response.write(b"x")
                await asyncio.sleep(allowed_s / 5)
            await response.write_eof()
            return response

        set_patience(pds, allowed_s)
        appview.answer = answer
        reply = await pds.get(SEARCH, alice.auth)
        assert (reply.status, set(reply.body)) == (200, set(b"x"))

    await with_more_time(attempt)


async def test_a_service_that_trickles_its_head_is_given_up(pds: Pds, alice: Account) -> None:
    hurry(pds)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X-More: 1\r\n")
            await writer.drain()
            await asyncio.sleep(0.03)

    async with raw_service(pds, trickle) as named:
        assert_unreachable(await pds.get(SEARCH, {**alice.auth, **named}))


async def test_a_client_that_stops_sending_is_given_up(
    pds: Pds, alice: Account, appview: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.xrpc.body.PACE_S", 0.15)
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.access_jwt}\r\n"
        "Content-Length: 10\r\n\r\nhello".encode()
    )
    answer = await reader.readuntil(b"}")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(
        b'{"error":"RequestTimeout","message":"The request body comes in too slowly"}'
    )
    assert appview.received == []


async def test_a_client_that_takes_nothing_in_is_given_up(
    pds: Pds, alice: Account, appview: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.fairness.answer_pace.PACE_S", 0.15)
    appview.answer = endless = Endless()
    host, port = pds.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1_000)
    head = f"Host: x\r\nAuthorization: Bearer {alice.access_jwt}\r\n\r\n"
    writer.write(f"GET {PATH} HTTP/1.1\r\n{head}".encode())
    await endless.ended.wait()
    body = await reader.read(2**24)
    writer.close()
    assert not body.endswith(b"\r\n0\r\n\r\n")


# --- Nonsense


NONSENSE = {
    "another protocol": b"220 smtp.example.com ESMTP\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "binary": bytes(range(256)),
    "a giant header": b"HTTP/1.1 200 OK\r\nX-Big: " + b"y" * 100_000 + b"\r\n\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "another language": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
    b"Connection: Upgrade\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nX-",
    "no body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_service_that_does_not_speak_http_is_unreachable(
    pds: Pds, alice: Account, said: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with raw_service(pds, serve) as named:
        assert_unreachable(await pds.get(SEARCH, {**alice.auth, **named}))


async def test_answers_that_are_not_final_have_an_end(pds: Pds, alice: Account) -> None:
    hurry(pds)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_service(pds, serve) as named:
        assert_unreachable(await pds.get(SEARCH, {**alice.auth, **named}))


async def test_an_interim_answer_is_skipped(pds: Pds, alice: Account) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with raw_service(pds, serve) as named:
        reply = await pds.get(SEARCH, {**alice.auth, **named})
        assert (reply.status, reply.body) == (200, b"{}")


async def test_garbage_of_a_service_is_the_clients_to_read(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers(lambda: web.Response(body=b"\0\xff", content_type="application/json"))
    async with pds.http.get(pds.url + PATH, headers=alice.auth) as response:
        assert (response.status, await response.read()) == (200, b"\0\xff")


# --- Nobody there


async def test_a_service_that_is_down_is_unreachable(pds: Pds, alice: Account) -> None:
    did = register_service(pds, {"down": f"http://127.0.0.1:{free_port()}"})
    for verb in ("GET", "POST"):
        headers = {**alice.auth, **via(did, "down")}
        assert_unreachable(await pds.request(verb, PATH, headers=headers))


@pytest.mark.parametrize("fails", [1, 2])
async def test_a_query_that_met_no_connection_is_sent_again(
    pds: Pds, alice: Account, fails: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pauses between attempts.
    monkeypatch.setattr("pds.proxy.forwarding._FIRST_PAUSE_S", 0)
    port, attempts = free_port(), 0
    named = via(register_service(pds, {"late": f"http://127.0.0.1:{port}"}), "late")
    sent = pds.ctx.proxy_http.open

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"{}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()

    async def open_late(*args: Any, **named: Any) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts == fails + 1:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        return await sent(*args, **named)

    monkeypatch.setattr(pds.ctx.proxy_http, "open", open_late)
    assert (await pds.get(SEARCH, {**alice.auth, **named})).status == 200
    assert attempts == fails + 1
    await runner.cleanup()


async def test_a_query_is_not_sent_again_for_ever(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.proxy.forwarding._FIRST_PAUSE_S", 0)
    connections = 0

    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1

    async with raw_service(pds, slam) as named:
        assert_unreachable(await pds.get(SEARCH, {**alice.auth, **named}))
        # Two more than one; the HTTP client makes two of each, for a connection may be stale.
        assert connections == 6
        connections = 0
        assert_unreachable(
            await pds.request("POST", PATH, headers={**alice.auth, **named}, data=b"x")
        )
        assert connections == 1


async def test_what_a_service_has_refused_is_not_sent_again(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    appview.answers_json({"error": "Busy"}, status=503)
    assert (await pds.get(SEARCH, alice.auth)).error == (503, "Busy")
    assert len(appview.received) == 1


# --- Others


class TestWithMoreTime:
    """So that nothing but waiting for the service takes long."""

    @pytest.fixture
    def pds_environ(self, pds_environ: dict[str, str]) -> dict[str, str]:
        return {**pds_environ, "PDS_PROXY_HEADERS_TIMEOUT": "1000"}

    async def test_a_service_that_hangs_delays_nobody_else(
        self, pds: Pds, alice: Account, appview: Upstream, mod_service: Upstream, other: Upstream
    ) -> None:
        appview.answer = hang = Hang()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            crowd = replace(pds, http=http)
            # More than an account has a share of: some wait for a turn, others are sent away.
            waiting = [asyncio.create_task(crowd.get(SEARCH, alice.auth)) for _ in range(280)]
            await hang.reached.wait()
            await self.check_others(pds, alice, other)
            replies = await asyncio.gather(*waiting)
        refused = [reply for reply in replies if reply.status == 503]
        assert 0 < len(refused) < len(replies)
        assert {reply.headers["Retry-After"] for reply in refused} == {"2"}
        for reply in replies:
            if reply.status != 503:
                assert_unreachable(reply)

    async def check_others(self, pds: Pds, alice: Account, other: Upstream) -> None:
        named = via(register_service(pds, {"other": other.url}), "other")
        for reply in (
            await pds.get("tools.ozone.moderation.queryEvents", alice.auth),
            await pds.get(SEARCH, {**alice.auth, **named}),
            await pds.get("com.atproto.server.getSession", alice.auth),
        ):
            assert reply.status == 200
