"""Ends of a real server process: in good order on SIGTERM, and at once, as a crash does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from database.opening import open_database
from tests.e2e.checked_repo import CheckedRepo, check_export
from tests.e2e.raw_events import Event, read_events
from tests.e2e.replica import Replica, follow
from tests.e2e.sdk import Network, png
from tests.e2e.writers import Writer, joined, until_promised
from tests.processes import DevServer


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


class Stoppable:
    """A server that a test ends, and may start again."""

    def __init__(self, data: Path) -> None:
        self.now = DevServer.start(data)

    async def told_to_stop(self) -> int:
        """Send SIGTERM and wait for the end. Returns the exit status."""
        self.now.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.now.process.wait, 20)

    async def start_again(self) -> DevServer:
        self.now = await asyncio.to_thread(self.now.start_again)
        return self.now


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Stoppable]:
    server = Stoppable(tmp_path / "data")
    yield server
    if server.now.process.poll() is None:
        server.now.kill()


async def test_requests_under_way_are_finished(
    server: Stoppable, http: aiohttp.ClientSession
) -> None:
    (writer,) = await joined(server.now, http, 1)
    image = png(1, side=64)
    halfway, rest = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield image[:100]
        halfway.set()
        await rest.wait()
        yield image[100:]

    upload = asyncio.create_task(_upload(writer, body()))
    await halfway.wait()
    stopping = asyncio.create_task(server.told_to_stop())
    await _refuses_connections(server.now)
    assert not upload.done()
    rest.set()
    assert (await upload)["blob"]["size"] == len(image)
    assert await stopping == 0
    assert "Traceback" not in server.now.log()


async def test_writes_that_were_answered_survive_a_stop_under_load(
    server: Stoppable, http: aiohttp.ClientSession
) -> None:
    writers = await joined(server.now, http, 4)
    writing = [asyncio.create_task(writer.write_until_the_server_ends()) for writer in writers]
    await until_promised(writers, 40)
    assert await server.told_to_stop() == 0
    await asyncio.gather(*writing)
    assert "Traceback" not in server.now.log()
    _check_files_at_rest(server.now.data)
    again = await server.start_again()
    network = Network(again)
    with network.clients:
        for writer in writers:
            await writer.check_promises()
            check_export(network.export(writer.did), network.key(writer.did))
    await writers[0].write("after the stop")


async def test_subscribers_are_told_that_the_server_goes_away(
    server: Stoppable, http: aiohttp.ClientSession
) -> None:
    url = f"{server.now.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with (
        http.ws_connect(url) as live,
        http.ws_connect(url, params={"cursor": "0"}) as from_start,
    ):
        writers = await joined(server.now, http, 1)
        await writers[0].write("the last event")
        stopping = asyncio.create_task(server.told_to_stop())
        for socket in (live, from_start):
            count = 0
            while (message := await socket.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
                count += 1
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == aiohttp.WSCloseCode.GOING_AWAY
            # Nothing that was written before the stop is missing: three events of a new
            # repository beside its commit, and the note.
            assert count == 5
        assert await stopping == 0


async def test_a_subscriber_that_reads_nothing_delays_no_stop(
    server: Stoppable, http: aiohttp.ClientSession
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.now.port)
    writer.write(
        b"GET /xrpc/com.atproto.sync.subscribeRepos HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in await reader.readline()
    async with asyncio.timeout(20):
        assert await server.told_to_stop() == 0
    writer.close()


async def test_what_was_answered_survives_a_crash(
    server: Stoppable, http: aiohttp.ClientSession
) -> None:
    writers = await joined(server.now, http, 4)
    seen: list[Event] = []
    reading = asyncio.create_task(read_events(server.now, http, seen, cursor=0))
    writing = [asyncio.create_task(writer.write_until_the_server_ends()) for writer in writers]
    await until_promised(writers, 100)
    server.now.process.kill()
    await asyncio.gather(reading, *writing)
    await asyncio.to_thread(server.now.process.wait, 20)
    again = await server.start_again()
    for writer in writers:
        await writer.check_promises()
    await _check_log(again, http, seen)
    await writers[0].write("after the crash")
    network = Network(again)
    with network.clients:
        await _check_convergence(network, writers)


async def _check_log(server: DevServer, http: aiohttp.ClientSession, seen: list[Event]) -> None:
    """No consumer that was there before the crash has seen a seq that now means another event."""
    newest = _newest_seq(server.data)
    assert seen
    assert newest >= seen[-1].seq
    log: list[Event] = []
    await read_events(server, http, log, cursor=0, until_seq=newest)
    seqs = [event.seq for event in log]
    assert seqs == sorted(set(seqs))
    by_seq = {event.seq: event for event in log}
    assert [by_seq[event.seq] for event in seen] == seen


async def _check_convergence(network: Network, writers: list[Writer]) -> None:
    """A consumer that starts from the beginning ends with what the repositories hold."""

    def exported(did: str) -> CheckedRepo:
        return check_export(network.export(did), network.key(did))

    repos = {writer.did: exported(writer.did) for writer in writers}
    replica = Replica(network.key, fetch=exported)

    def caught_up() -> bool:
        return all(
            did in replica.copies and replica.copies[did].rev == repo.commit.rev
            for did, repo in repos.items()
        )

    await follow(network.server, replica, cursor=0, until=caught_up)
    for did, repo in repos.items():
        assert replica.copies[did].records == repo.records
        assert replica.copies[did].commit == repo.root


def _newest_seq(data: Path) -> int:
    db = open_database(data / "sequencer.sqlite", create=False, read_only=True)
    try:
        seq: int = db.value("SELECT max(seq) FROM repo_seq")
        return seq
    finally:
        db.close()


def _check_files_at_rest(data: Path) -> None:
    """Nothing waits in a WAL, and the log says that the stop was in order."""
    assert [path for path in data.rglob("*-wal") if path.stat().st_size] == []
    db = open_database(data / "sequencer.sqlite", create=False, read_only=True)
    try:
        state = db.one("SELECT running, latestSeq FROM holdfast_run")
    finally:
        db.close()
    assert state == (0, _newest_seq(data))


async def _upload(writer: Writer, body: AsyncIterator[bytes]) -> dict[str, dict[str, int]]:
    url = f"{writer.server.url}/xrpc/com.atproto.repo.uploadBlob"
    headers = {**writer.auth, "Content-Type": "image/png"}
    # The server asks for the body once the request is its own to answer.
    async with writer.http.post(url, data=body, headers=headers, expect100=True) as response:
        answer: dict[str, dict[str, int]] = await response.json()
        assert response.status == 200, answer
    return answer


async def _refuses_connections(server: DevServer) -> None:
    """Wait until the server takes no more requests."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        except ConnectionRefusedError:
            return
        writer.close()
        await asyncio.sleep(0.01)
