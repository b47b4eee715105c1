"""Long answers: they end with their client, their number is bounded, and leaving is no error."""

from __future__ import annotations

import asyncio
import gc
import io
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from actor_store.streaming import ThreadedSource
from pds.fairness import answer_pace, long_answers
from pds.fairness.long_answers import LongAnswers
from pds.fairness.turns import Turns
from tests.pds.conftest import Account, Pds
from tests.pds.server.test_observer import until_counted

REPO = "com.atproto.sync.getRepo"
BLOB = "com.atproto.sync.getBlob"
FIREHOSE = "com.atproto.sync.subscribeRepos"
UPLOAD = "com.atproto.repo.uploadBlob"
RECORDS = "com.atproto.repo.listRecords"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}


@pytest.fixture
async def large(pds: Pds, alice: Account) -> Account:
    """An account whose repository does not fit into the buffers of a connection."""
    for start in range(0, 120, 12):
        writes = [
            {
                "$type": "com.atproto.repo.applyWrites#create",
                "collection": "com.example.thing",
                "rkey": f"thing{start + number}",
                "value": {"$type": "com.example.thing", "text": f"{start + number:05}" * 14_000},
            }
            for number in range(12)
        ]
        reply = await pds.post(
            "com.atproto.repo.applyWrites",
            {"repo": alice.did, "writes": writes, "validate": False},
            alice.auth,
        )
        assert reply.status == 200, reply.body
    return alice


@pytest.fixture
def open_sources(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[ThreadedSource]]:
    """The streams that have begun and have not been closed, without the help of the collector."""
    opened = set[ThreadedSource]()
    real_next, real_close = ThreadedSource.next, ThreadedSource.close

    def begin(source: ThreadedSource) -> bytes | None:
        opened.add(source)
        return real_next(source)

    def close(source: ThreadedSource) -> None:
        opened.discard(source)
        real_close(source)

    monkeypatch.setattr(ThreadedSource, "next", begin)
    monkeypatch.setattr(ThreadedSource, "close", close)
    gc.disable()
    yield opened
    gc.enable()


@pytest.fixture
def log() -> Iterator[list[Any]]:
    with capture_logs() as captured:
        yield captured


@asynccontextmanager
async def asking(pds: Pds, request: str, headers: str = "") -> AsyncIterator[socket.socket]:
    """A client that has asked and got the beginning of an answer, and takes no more of it."""
    loop = asyncio.get_running_loop()
    host, port = pds.url.removeprefix("http://").split(":")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, (host, int(port)))
        await loop.sock_sendall(client, f"{request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        assert await loop.sock_recv(client, 12) == b"HTTP/1.1 200"
        yield client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0.01)


async def test_a_stream_is_closed_when_its_client_leaves(
    pds: Pds, large: Account, open_sources: set[ThreadedSource]
) -> None:
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        assert len(open_sources) == pds.ctx.streams.repos.running == 1
    await until(lambda: not open_sources and not pds.ctx.streams.repos.running)


async def test_a_stream_is_closed_after_an_answer_to_head(
    pds: Pds, large: Account, open_sources: set[ThreadedSource]
) -> None:
    async with asking(pds, f"HEAD /xrpc/{REPO}?did={large.did}"):
        await until(lambda: not open_sources and not pds.ctx.streams.repos.running)


async def test_a_client_that_takes_nothing_loses_its_stream(
    pds: Pds,
    large: Account,
    open_sources: set[ThreadedSource],
    log: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_pace, "PACE_S", 0.1)
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        await until(lambda: not open_sources and not pds.ctx.streams.repos.running)
    await until_counted(pds, REPO, 499)
    assert {line["log_level"] for line in log} == {"info"}


async def test_a_client_that_is_slow_for_long_loses_its_stream(
    pds: Pds, large: Account, open_sources: set[ThreadedSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_pace, "GRACE_S", 0.2)
    monkeypatch.setattr(answer_pace, "GRACE_PACE_BYTES", 1 << 30)
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        await until(lambda: not open_sources and not pds.ctx.streams.repos.running)
    await until_counted(pds, REPO, 499)


async def test_an_answer_on_time_is_whole_however_short_the_grace(
    pds: Pds, large: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_pace, "GRACE_PACE_BYTES", 1000)
    reply = await pds.get(REPO, did=large.did)
    assert (reply.status, len(reply.body) > 8_000_000) == (200, True)


@pytest.mark.parametrize("nsid", [REPO, BLOB, RECORDS])
async def test_a_client_that_hangs_up_is_no_error(
    pds: Pds, large: Account, log: list[Any], caplog: pytest.LogCaptureFixture, nsid: str
) -> None:
    query = f"did={large.did}"
    if nsid == BLOB:
        ref = (await pds.upload(large, io.BytesIO(b"x" * 4_000_000))).json["blob"]
        record = {"$type": "com.example.thing", "blob": ref}
        await pds.create_record(large, "com.example.thing", record, validate=False)
        query += f"&cid={ref['ref']['$link']}"
    elif nsid == RECORDS:
        query = f"repo={large.did}&collection=com.example.thing&limit=100"
    for _ in range(5):
        async with asking(pds, f"GET /xrpc/{nsid}?{query}"):
            pass
    streams = pds.ctx.streams
    await until(lambda: streams.repos.running == streams.blobs.running == 0)
    if nsid != RECORDS:  # The others are made before they are sent.
        await until_counted(pds, nsid, 499)
    assert {line["log_level"] for line in log} == {"info"}
    assert not caplog.records


async def test_an_upload_that_breaks_off_leaves_nothing(
    pds: Pds, alice: Account, log: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    host, port = pds.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /xrpc/{UPLOAD} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        f"Authorization: {alice.auth['Authorization']}\r\nContent-Length: 4000000\r\n\r\n".encode()
        + b"x" * 1_000_000
    )
    with suppress(ConnectionError):
        await writer.drain()
    writer.transport.abort()
    with suppress(ConnectionError):
        await writer.wait_closed()
    await until_counted(pds, UPLOAD, 499)
    directory = pds.ctx.settings.blob_directory
    assert directory is not None
    assert [path for path in directory.rglob("*") if path.is_file()] == []
    assert {line["log_level"] for line in log} == {"info"}
    assert not caplog.records


def answers(*, each: int = 1, waiting: int = 0) -> LongAnswers:
    """Two turns, for some tests."""
    return LongAnswers(
        Turns("tests", at_once=2, each=each, waiting=waiting, waiting_each=waiting, wait_s=10)
    )


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_answers, "PATIENCE_S", 0.05)
    monkeypatch.setattr(long_answers, "SETTLED_S", 0.1)


@pytest.mark.usefixtures("impatient")
async def test_a_download_of_an_address_with_several_gives_way_to_one_with_none(
    pds: Pds, large: Account
) -> None:
    pds.ctx.streams.repos = answers(each=2, waiting=1)
    request = f"GET /xrpc/{REPO}?did={large.did}"
    async with asking(pds, request), asking(pds, request):
        assert (await pds.get(REPO, ELSEWHERE, did=large.did)).status == 200
        assert pds.ctx.streams.repos.running == 1
    await until_counted(pds, REPO, 499)


@pytest.mark.usefixtures("impatient")
async def test_a_large_answer_of_an_address_with_several_gives_way_to_one_with_none(
    pds: Pds, large: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that it does not fit into the buffers of a connection within one machine.
    monkeypatch.setattr("pds.api.repo.record_answers.PAGE_BYTES", 1 << 30)
    pds.ctx.large_work.answers = answers(each=2, waiting=1)
    query = {"repo": large.did, "collection": "com.example.thing", "limit": 100}
    request = f"GET /xrpc/{RECORDS}?repo={large.did}&collection=com.example.thing&limit=100"
    async with asking(pds, request), asking(pds, request):
        await until(lambda: pds.ctx.large_work.answers.running == 2)
        assert (await pds.get(RECORDS, ELSEWHERE, **query)).status == 200


@pytest.mark.usefixtures("impatient")
async def test_a_slow_download_gives_way_when_no_address_has_several(
    pds: Pds, large: Account
) -> None:
    pds.ctx.streams.repos = answers(waiting=1)
    request = f"GET /xrpc/{REPO}?did={large.did}"
    async with asking(pds, request), asking(pds, request, "X-Forwarded-For: 203.0.113.8\r\n"):
        assert (await pds.get(REPO, ELSEWHERE, did=large.did)).status == 200
        assert pds.ctx.streams.repos.running == 1


@pytest.mark.usefixtures("impatient")
async def test_a_download_at_a_good_pace_gives_way_to_nobody(
    pds: Pds, large: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_answers, "SLOW_BYTES_PER_S", 0)
    pds.ctx.streams.repos = LongAnswers(
        Turns("tests", at_once=1, each=1, waiting=1, waiting_each=1, wait_s=0.5)
    )
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        assert (await pds.get(REPO, ELSEWHERE, did=large.did)).status == 503
        assert pds.ctx.streams.repos.running == 1


@pytest.mark.usefixtures("impatient")
async def test_a_consumer_of_an_address_with_several_gives_way_to_one_with_none(pds: Pds) -> None:
    pds.ctx.streams.subscribers = answers(each=2, waiting=1)
    url = f"{pds.url}/xrpc/{FIREHOSE}"
    async with (
        pds.http.ws_connect(url),
        pds.http.ws_connect(url),
        pds.http.ws_connect(url, headers=ELSEWHERE),
    ):
        assert pds.ctx.streams.subscribers.running == 2


async def test_too_many_downloads_of_one_address_are_refused(pds: Pds, large: Account) -> None:
    pds.ctx.streams.repos = answers()
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        refused = await pds.get(REPO, did=large.did)
        assert refused.error == (503, "NotEnoughResources")
        assert int(refused.headers["Retry-After"]) > 0
        assert (await pds.get(REPO, ELSEWHERE, did=large.did)).status == 200
    await until(lambda: not pds.ctx.streams.repos.running)
    assert (await pds.get(REPO, did=large.did)).status == 200


async def test_a_client_that_leaves_the_queue_is_no_error(
    pds: Pds, large: Account, log: list[Any]
) -> None:
    pds.ctx.streams.repos = answers(waiting=9)
    async with asking(pds, f"GET /xrpc/{REPO}?did={large.did}"):
        waiting = asyncio.create_task(pds.get(REPO, did=large.did))
        await until(lambda: pds.ctx.streams.repos.waiting == 1)
        waiting.cancel()
        await until(lambda: pds.ctx.streams.repos.waiting == 0)
    await until_counted(pds, REPO, 499)
    assert {line["log_level"] for line in log} == {"info"}


async def test_too_many_consumers_of_one_address_are_refused_before_the_upgrade(pds: Pds) -> None:
    pds.ctx.streams.subscribers = answers()
    url = f"{pds.url}/xrpc/{FIREHOSE}"
    async with pds.http.ws_connect(url):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await pds.http.ws_connect(url)
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert int(refused.value.headers["Retry-After"]) > 0
        async with pds.http.ws_connect(url, headers=ELSEWHERE):
            pass
    await until(lambda: not pds.ctx.streams.subscribers.running)
    async with pds.http.ws_connect(url):
        pass
