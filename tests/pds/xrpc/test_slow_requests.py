"""Requests that trickle in: no head and no body keeps a connection or a handler for long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import pds as package
from pds.fairness.turns import Turns
from pds.server import connections
from pds.xrpc import body
from pds.xrpc.errors import XrpcError
from tests.more_time import with_more_time
from tests.pds.conftest import Account, Pds

DESCRIBE = b"GET /xrpc/com.atproto.server.describeServer HTTP/1.1\r\nHost: x\r\n\r\n"
LOGIN = "com.atproto.server.createSession"
UPLOAD = "com.atproto.repo.uploadBlob"
TOO_SLOW = {"error": "RequestTimeout", "message": "The request body comes in too slowly"}
DRIP_S = 0.02


class Client:
    """A connection on which a request comes in as slowly as the test likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, pds: Pds) -> AsyncIterator[Client]:
        host, port = pds.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        return int(head.split(b" ")[1]), await self._reader.readexactly(int(length[1]))

    async def closed(self) -> bytes:
        """What comes before the server closes the connection, which it does soon."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""

    @asynccontextmanager
    async def dripping(self, data: bytes) -> AsyncIterator[None]:
        """Meanwhile send `data` byte by byte, over and over."""

        async def drip() -> None:
            with suppress(ConnectionError):
                while True:
                    for number in range(len(data)):
                        self.send(data[number : number + 1])
                        await asyncio.sleep(DRIP_S)

        task = asyncio.create_task(drip())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def client(pds: Pds) -> AsyncIterator[Client]:
    async with Client.connect(pds) as client:
        yield client


def post(nsid: str, *headers: str) -> bytes:
    """The head of a procedure call."""
    lines = [f"POST /xrpc/{nsid} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


# --- Heads


@pytest.fixture
def quick_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Used before the server starts: connections take the time when they are made."""
    monkeypatch.setattr(connections, "HEAD_S", 0.15)


@pytest.mark.usefixtures("quick_heads")
async def test_a_connection_that_says_nothing_is_closed(client: Client) -> None:
    assert await client.closed() == b""


@pytest.mark.usefixtures("quick_heads")
async def test_a_head_that_trickles_in_is_cut_off(client: Client) -> None:
    client.send(DESCRIBE[:-2])
    async with client.dripping(b"X-Header: value\r\n"):
        assert await client.closed() == b""


@asynccontextmanager
async def answered(pds: Pds) -> AsyncIterator[Client]:
    """A connection on which a first request has been answered."""
    async with Client.connect(pds) as client:
        client.send(DESCRIBE)
        assert (await client.answer())[0] == 200
        yield client


async def test_the_head_of_a_later_request_has_no_more_time(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(head_s: float) -> None:
        monkeypatch.setattr(connections, "HEAD_S", head_s)
        async with answered(pds) as client:
            client.send(b"GET /")
            async with client.dripping(b"x"):
                assert await client.closed() == b""

    await with_more_time(attempt)


async def test_a_connection_between_requests_is_kept(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(head_s: float) -> None:
        monkeypatch.setattr(connections, "HEAD_S", head_s)
        async with answered(pds) as client:
            async with Client.connect(pds) as silent:
                await silent.closed()  # Longer than a head may take.
            client.send(DESCRIBE)
            assert (await client.answer())[0] == 200

    await with_more_time(attempt)


async def test_a_head_in_pieces_is_a_head(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(head_s: float) -> None:
        monkeypatch.setattr(connections, "HEAD_S", head_s)
        async with Client.connect(pds) as client:
            for _ in range(3):
                client.send(DESCRIBE[:7])
                await asyncio.sleep(DRIP_S)
                client.send(DESCRIBE[7:])
                assert (await client.answer())[0] == 200
            async with Client.connect(pds) as silent:
                await silent.closed()
            client.send(DESCRIBE)
            assert (await client.answer())[0] == 200

    await with_more_time(attempt)


async def test_a_handler_may_take_longer_than_a_head(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attempt(head_s: float) -> None:
        monkeypatch.setattr(connections, "HEAD_S", head_s)
        url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
        async with pds.http.ws_connect(url) as firehose:
            async with Client.connect(pds) as silent:
                await silent.closed()
            await pds.post_text(alice)
            assert (await firehose.receive()).type is aiohttp.WSMsgType.BINARY

    await with_more_time(attempt)


# --- Bodies that are read as a whole


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
async def test_json_that_trickles_in_is_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    monkeypatch.setattr(body, "JSON_S", 0.15)
    client.send(post(LOGIN, "Content-Type: application/json", framing))
    drip = b" " if "Length" in framing else b"1\r\n \r\n"
    async with client.dripping(drip):
        status, answer = await client.answer()
        assert (status, orjson.loads(answer)) == (408, TOO_SLOW)


async def test_json_that_comes_in_pieces_is_read(client: Client) -> None:
    json = orjson.dumps({"identifier": "nobody.test", "password": "x"})
    head = post(LOGIN, "Content-Type: application/json", f"Content-Length: {len(json)}")
    client.send(head + json[:5])
    await asyncio.sleep(DRIP_S)
    client.send(json[5:])
    assert (await client.answer())[0] == 401


async def test_a_body_that_nobody_expects_is_not_waited_for(
    client: Client, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "JSON_S", 0.05)
    nsid = "com.atproto.server.refreshSession"
    auth = f"Authorization: {alice.refresh_auth['Authorization']}"
    client.send(post(nsid, auth, "Transfer-Encoding: chunked"))
    status, answer = await client.answer()
    assert (status, orjson.loads(answer)) == (408, TOO_SLOW)


async def test_a_connection_is_not_used_again_after_a_body_that_was_too_slow(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "JSON_S", 0.05)
    client.send(post(LOGIN, "Content-Type: application/json", "Content-Length: 10"))
    assert (await client.answer())[0] == 408
    client.send(b"0123456789" + DESCRIBE)
    assert await client.closed() == b""


async def test_large_json_of_an_account_takes_the_memory_of_a_few(
    pds: Pds, alice: Account, client: Client
) -> None:
    nsid = "com.atproto.repo.createRecord"
    bodies = pds.ctx.large_work.bodies = Turns(
        "tests", at_once=2, each=1, waiting=1, waiting_each=0, wait_s=10
    )
    auth = f"Authorization: {alice.auth['Authorization']}"
    head = post(nsid, auth, "Content-Type: application/json", "Content-Length: 900000")
    client.send(head + b" " * 300_000)
    async with asyncio.timeout(20):
        while not bodies.running:  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0)
    long = {"repo": alice.did, "collection": "com.example.thing", "validate": False}
    long["record"] = {"$type": "com.example.thing", "text": "x" * 500_000}
    assert (await pds.post(nsid, long, alice.auth)).error == (503, "NotEnoughResources")
    await pds.create_record(alice, "com.example.thing", {"text": "short"}, validate=False)
    other = await pds.create_account()
    elsewhere = {**other.auth, "X-Forwarded-For": "203.0.113.9"}
    assert (await pds.post(nsid, {**long, "repo": other.did}, elsewhere)).status == 200
    assert bodies.running == 1


# --- Uploads


def upload(account: Account, size: int) -> bytes:
    auth = f"Authorization: {account.auth['Authorization']}"
    return post(UPLOAD, auth, "Content-Type: image/png", f"Content-Length: {size}")


@pytest.mark.parametrize("begin", [b"", b"x" * 200_000])
async def test_an_upload_that_stops_is_given_up_and_leaves_nothing(
    pds: Pds, alice: Account, client: Client, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(body, "PACE_S", 0.1)
    client.send(upload(alice, 1_000_000) + begin)
    status, answer = await client.answer()
    assert (status, orjson.loads(answer)) == (408, TOO_SLOW)
    blobs = pds.ctx.settings.blob_directory
    assert blobs is not None
    assert [path for path in blobs.rglob("*") if path.is_file()] == []


async def test_an_upload_that_trickles_in_is_given_up(
    alice: Account, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "PACE_S", 0.15)
    client.send(upload(alice, 1_000_000))
    async with client.dripping(b"x"):
        assert (await client.answer())[0] == 408


async def test_a_slow_upload_that_keeps_its_pace_is_taken(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "PACE_BYTES", 10)

    async def attempt(pace_s: float) -> None:
        monkeypatch.setattr(body, "PACE_S", pace_s)
        async with Client.connect(pds) as client:
            client.send(upload(alice, 60))
            for _ in range(6):
                await asyncio.sleep(pace_s / 5)
                client.send(b"x" * 10)
            assert (await client.answer())[0] == 200

    await with_more_time(attempt)


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server whose one route is `handler`; gives its URL."""
    app = web.Application()
    app.router.add_post("/", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_only_the_client_is_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or another server that is slow to take the parts does not end the upload."""
    monkeypatch.setattr(body, "PACE_BYTES", 10_000_000)

    async def attempt(pace_s: float) -> None:
        monkeypatch.setattr(body, "PACE_S", pace_s)
        sizes: list[int] = []

        async def take(request: web.Request) -> web.Response:
            async for chunk in body.iter_body(request):
                if not sizes:
                    await asyncio.sleep(1.5 * pace_s)
                sizes.append(len(chunk))
            return web.Response()

        async with (
            serving(take) as url,
            aiohttp.ClientSession() as http,
            http.post(url, data=b"x" * 1_000_000) as response,
        ):
            assert response.status == 200
        assert len(sizes) > 1
        assert sum(sizes) == 1_000_000

    await with_more_time(attempt)


async def test_a_part_that_was_in_time_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PACE_S", 0.1)
    taken: list[bytes] = []
    refused = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        async for chunk in body.iter_body(request):
            taken.append(chunk)  # noqa: PERF401 (what came before the error counts)
        return web.Response()

    async def note_refusal(request: web.Request) -> web.Response:
        with pytest.raises(XrpcError, match="too slowly"):
            await take(request)
        refused.set()
        return web.Response()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        await refused.wait()

    async with (
        serving(note_refusal) as url,
        aiohttp.ClientSession() as http,
        http.post(url, data=parts()) as response,
    ):
        assert response.status == 200
    assert b"".join(taken) == b"onetwo"


# --- Nobody reads bodies in another way

_READS = re.compile(
    r"\brequest\.content\.(?:read|iter)|\brequest\.(?:read|json|text|post|multipart)\("
)


def test_every_body_is_read_with_a_clock() -> None:
    root = Path(package.__file__).parent
    allowed = {"xrpc/body.py", "dev/plc_directory.py"}
    wrong = [
        f"{path.relative_to(root)}:{number}"
        for path in root.rglob("*.py")
        if str(path.relative_to(root)) not in allowed
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if _READS.search(line)
    ]
    assert wrong == [], "read bodies with pds.xrpc.body: read_json, read_bounded or iter_body"
