"""Running the server: its order of starting and stopping, and what it says if it cannot listen."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from database.open_files import MIN_LIMIT
from pds.config import Settings
from pds.context import AppContext
from pds.disk.data_directory import LOCK_FILE, DataDirectoryHeld, DataDirectoryLock
from pds.server import run as server
from pds.server.listening import BoundPort, ListenError
from pds.server.process import TooFewFiles, raise_file_limit
from pds.server.run import serve
from tests.pds.served import settings_on
from tests.processes import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_on(tmp_path)


@pytest.fixture(autouse=True)
def _leave_the_collector_of_the_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "tune_garbage_collector", lambda: None)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server_in_order(
    settings: Settings, signal_number: signal.Signals
) -> None:
    ready: asyncio.Future[AppContext] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, on_ready=ready.set_result))
    ctx = await ready
    assert not ctx.event_log.run.was_unclean
    with pytest.raises(DataDirectoryHeld):
        DataDirectoryLock.acquire(settings.data_directory)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{settings.service.port}/xrpc/_health") as response,
    ):
        assert response.status == 200
    os.kill(os.getpid(), signal_number)
    await serving
    DataDirectoryLock.acquire(settings.data_directory).release()
    assert not list(settings.data_directory.glob("*-wal"))


async def test_a_start_with_an_sqlite_that_can_corrupt_databases_is_warned_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "running_version", lambda: "3.51.2")
    with capture_logs() as logs:
        await serve(settings, on_ready=lambda _: os.kill(os.getpid(), signal.SIGTERM))
    (told,) = [line for line in logs if line["event"] == "SQLite is too old"]
    assert told["log_level"] == "warning"
    assert "SQLite 3.51.2" in told["what"]
    assert "apsw>=3.51.3" in told["remedy"]


async def test_threads_that_compute_hand_over_to_the_event_loop_within_a_millisecond(
    settings: Settings,
) -> None:
    before = sys.getswitchinterval()
    ready: asyncio.Future[AppContext] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, on_ready=ready.set_result))
    await ready
    assert sys.getswitchinterval() <= 0.001
    os.kill(os.getpid(), signal.SIGTERM)
    await serving
    assert sys.getswitchinterval() == before


async def test_what_starts_beside_the_server_outlives_it(settings: Settings) -> None:
    steps: list[str] = []

    async def start_beside(stack: AsyncExitStack) -> None:
        with pytest.raises(DataDirectoryHeld):
            DataDirectoryLock.acquire(settings.data_directory)
        steps.append("beside")
        stack.callback(lambda: steps.append(f"closed, listening: {listens(settings)}"))

    def on_ready(ctx: AppContext) -> None:
        steps.append("ready")
        os.kill(os.getpid(), signal.SIGTERM)

    await serve(settings, on_ready=on_ready, start_beside=start_beside)
    assert steps == ["beside", "ready", "closed, listening: False"]


async def test_a_start_that_fails_lets_the_data_directory_go(settings: Settings) -> None:
    with occupied(settings.service.port), pytest.raises(ListenError, match="in use"):
        await serve(settings, on_ready=lambda ctx: None)
    DataDirectoryLock.acquire(settings.data_directory).release()


@pytest.mark.parametrize("taken", ["PDS_PORT", "PDS_METRICS_PORT"])
async def test_nothing_is_written_before_a_port_is_found_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    port = free_port()
    settings = settings_on(tmp_path, **{taken: str(port)})
    with occupied(port), pytest.raises(ListenError, match="in use"):
        await serve(settings, on_ready=lambda ctx: None)
    assert [path.name for path in settings.data_directory.iterdir()] == [LOCK_FILE]


async def test_connections_are_refused_until_the_files_are_mended(settings: Settings) -> None:
    listening: list[bool] = []

    async def start_beside(stack: AsyncExitStack) -> None:
        listening.append(listens(settings))
        # Nobody else can have it meanwhile.
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", settings.service.port))

    def on_ready(ctx: AppContext) -> None:
        listening.append(listens(settings))
        os.kill(os.getpid(), signal.SIGTERM)

    await serve(settings, on_ready=on_ready, start_beside=start_beside)
    assert listening == [False, True]


async def test_a_directory_that_was_not_there_is_told(tmp_path: Path) -> None:
    made = {
        "PDS_DATA_DIRECTORY": tmp_path / "unmounted",
        "PDS_BLOBSTORE_DISK_LOCATION": tmp_path / "b",
    }
    settings = settings_on(
        tmp_path,
        **{name: str(path) for name, path in made.items()},
        PDS_DEV_MODE="false",
        PDS_HOSTNAME="pds.example.com",
    )
    for expected in (made, {}):
        with capture_logs() as lines:
            await serve(settings, on_ready=lambda ctx: os.kill(os.getpid(), signal.SIGTERM))
        told = {
            line["setting"]: Path(line["directory"])
            for line in lines
            if line["event"] == "created a missing directory"
        }
        assert told == expected


def test_a_port_in_use_is_named() -> None:
    port = free_port()
    with occupied(port), pytest.raises(ListenError, match=f"Port {port} is in use"):
        BoundPort.bind("127.0.0.1", port)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(ListenError, match=r"Cannot listen on 192\.0\.2\.1:"):
        BoundPort.bind("192.0.2.1", free_port())


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("limit", [64, MIN_LIMIT - 1])
async def test_too_few_open_files_are_refused_with_the_way_to_raise_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (limit, limit))
    with pytest.raises(TooFewFiles, match=f"limit of open files is {limit}.*LimitNOFILE"):
        await serve(settings, on_ready=lambda _ctx: None)


async def test_many_workers_need_more_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (MIN_LIMIT, MIN_LIMIT))
    with pytest.raises(TooFewFiles, match=f"needs {MIN_LIMIT + 32 * 4}"):
        await serve(settings_on(tmp_path, PDS_WORKERS="32"), on_ready=lambda _ctx: None)


def listens(settings: Settings) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", settings.service.port)) == 0


@contextmanager
def occupied(port: int) -> Iterator[None]:
    """Another process's server on a port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield
