"""A server that is replaced while clients write, read and follow: none of them notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.watcher import Watcher
from tests.e2e.worker_server import WorkerServer
from tests.e2e.writers import Writer
from tests.processes import DevServer, run_pds

_MORE = 40
"""How many records are to be written before anything is said to have gone on."""


@pytest.fixture(params=[1, 3])
def pds(
    server: DevServer, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[WorkerServer]:
    """A server of one process, and one with workers."""
    pds = WorkerServer(tmp_path, f"http://127.0.0.1:{server.plc_port}", request.param)
    pds.start()
    yield pds
    pds.kill()


@pytest.fixture
async def load(pds: WorkerServer) -> AsyncIterator[Load]:
    async with aiohttp.ClientSession() as http:
        writers = [await Writer.join(pds, http, f"writer{n}") for n in range(4)]
        yield Load(pds, http, writers)


class Load:
    """Clients of all kinds, each of which fails for the first request that does."""

    def __init__(
        self, pds: WorkerServer, http: aiohttp.ClientSession, writers: list[Writer]
    ) -> None:
        self.pds = pds
        self.http = http
        self.writers = writers
        self.watcher = Watcher(pds, http)
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        clients = [self._write(writer) for writer in self.writers]
        clients += [self._read_on_one_connection(), self._connect_again_and_again(), self._follow()]
        self._tasks = [asyncio.create_task(client) for client in clients]

    async def go_on(self) -> None:
        """Wait until more has been written, and nothing has failed."""
        enough = self._promised + _MORE
        while self._promised < enough:
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.01)

    async def end(self) -> None:
        """Every client has done all it wanted, and has what it was promised."""
        self._ending.set()
        following = self._tasks.pop()
        await asyncio.gather(*self._tasks)
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        for writer in self.writers:
            await writer.check_promises()
        await self.watcher.catch_up()
        await self.watcher.until_listed()
        assert await self.watcher.check() == len(self.writers)
        assert self.watcher.fetches == 0, "commits were missing"

    @property
    def _promised(self) -> int:
        return sum(len(writer.promised) for writer in self.writers)

    async def _write(self, writer: Writer) -> None:
        while not self._ending.is_set():
            await writer.write(f"note {len(writer.promised)}")

    async def _read_on_one_connection(self) -> None:
        """Keep a connection until an answer says that it is the last one."""
        while not self._ending.is_set():
            reader, writer = await asyncio.open_connection("127.0.0.1", self.pds.port)
            is_last = False
            while not (is_last or self._ending.is_set()):
                writer.write(b"GET /xrpc/_health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 ")
                (length,) = (
                    int(line.partition(b":")[2])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                await reader.readexactly(length)
                is_last = b"connection: close" in head.lower()
            writer.close()

    async def _connect_again_and_again(self) -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            while not self._ending.is_set():
                async with http.get(f"{self.pds.url}/xrpc/_health") as answer:
                    assert answer.status == 200

    async def _follow(self) -> None:
        while True:
            await self.watcher.follow()


async def test_a_server_that_takes_over_refuses_no_connection_and_fails_no_request(
    pds: WorkerServer, load: Load
) -> None:
    load.begin()
    for _ in range(2):
        await load.go_on()
        old = await asyncio.to_thread(pds.take_over)
        assert await asyncio.to_thread(old.process.wait, 20) == 0
    await load.go_on()
    await load.end()
    await asyncio.to_thread(pds.stop)
    assert "Traceback" not in pds.log()
    assert '"level":"error"' not in pds.log()


async def test_workers_are_replaced_one_by_one_without_a_failed_request(
    pds: WorkerServer, load: Load
) -> None:
    if pds.workers == 1:
        pytest.skip("it is one process")
    load.begin()
    await load.go_on()
    before = pds.worker_pids()
    assert len(before) == pds.workers
    pds.server.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
    await asyncio.to_thread(
        pds.until,
        lambda: not set(before) & set(pds.worker_pids()) and len(pds.worker_pids()) == pds.workers,
    )
    await load.go_on()
    await load.end()
    await asyncio.to_thread(pds.stop)
    assert '"level":"error"' not in pds.log()


def test_a_second_server_is_refused_unless_it_is_to_take_over(pds: WorkerServer) -> None:
    refused = run_pds("serve", env=pds.environ)
    assert refused.returncode == 1
    assert f"pid {pds.first}" in refused.stderr
    assert pds.lines("stopping") == 0


def test_a_server_that_cannot_work_leaves_the_running_one_alone(pds: WorkerServer) -> None:
    refused = run_pds("serve", "--take-over", env={**pds.environ, "PDS_BIND_ADDRESS": "192.0.2.1"})
    assert refused.returncode == 1
    assert "Cannot listen on 192.0.2.1" in refused.stderr
    assert pds.lines("stopping") == 0
