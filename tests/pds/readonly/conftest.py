"""Read-only servers as processes, on the CAR files that the reference PDS exported."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pds.dev.plc_store import PlcStore
from tests.browser import Browser, find_browser
from tests.conformance.client import Client
from tests.pds.readonly.hostile import write_hostile_archive
from tests.processes import ServerProcess, clean_environment, free_port
from tests.reference import data, plc

NAMES = data.ACTIVE
OFFLINE = ("--verify", "offline")


@dataclass(slots=True)
class ReadonlyServer:
    """A `pds readonly` process."""

    process: ServerProcess
    log_file: Path

    @property
    def client(self) -> Client:
        return Client(self.process.url)

    def serves(self, did: str) -> bool:
        """Whether it has a repository."""
        return self.client.get("com.atproto.sync.getLatestCommit", did=did).status == 200

    def log(self) -> str:
        """What it has printed so far."""
        return self.log_file.read_text(errors="replace")


StartServer = Callable[..., ReadonlyServer]


def start(
    cars: Path, log_file: Path, *options: str, loaded: bool = True, **env: str
) -> ReadonlyServer:
    """Start a server on CAR files, and wait until it has `loaded` them, or only answers."""
    port = free_port()
    command = [sys.executable, "-m", "pds", "readonly", "--car", str(cars), "--port", str(port)]
    process = ServerProcess.launch(
        [*command, *options],
        url=f"http://localhost:{port}",
        log_file=log_file,
        env=clean_environment(env),
    )
    server = ReadonlyServer(process, log_file)
    if loaded:
        wait_until(lambda: " loaded, " in server.log())
    return server


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll: what another process does has no signal that a test could wait on."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers that end with the test."""
    started: list[ReadonlyServer] = []

    def start_one(cars: Path, *options: str, loaded: bool = True, **env: str) -> ReadonlyServer:
        log_file = tmp_path / f"{len(started)}.log"
        started.append(start(cars, log_file, *options, loaded=loaded, **env))
        return started[-1]

    yield start_one
    for server in started:
        server.process.kill()


@pytest.fixture
def cars(tmp_path: Path) -> Path:
    """A directory with the CAR files of the fixture."""
    return copy_cars(tmp_path / "cars")


def copy_cars(directory: Path) -> Path:
    """Put the CAR files of the fixture into `directory`, which is made."""
    directory.mkdir()
    for name in NAMES:
        shutil.copyfile(data.CARS / f"{name}.car", directory / f"{name}.car")
    return directory


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadonlyServer]:
    """One server for the tests of a module: all CAR files, blobs, DID documents."""
    root = tmp_path_factory.mktemp("archive")
    unpacked = data.unpack(root / "data")
    store = root / "plc.sqlite"
    fill_directory(store)
    with plc.directory_of(store) as url:
        server = start(
            copy_cars(root / "cars"),
            root / "log",
            "--blobs",
            str(unpacked / "blobs"),
            "--verify",
            "strict",
            PDS_DID_PLC_URL=url,
        )
        yield server
        server.process.kill()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadonlyServer]:
    """A server of one repository, whose records mean harm."""
    root = tmp_path_factory.mktemp("hostile")
    write_hostile_archive(root / "cars", root / "blobs")
    options = ("--blobs", str(root / "blobs"), "--verify", "offline")
    server = start(root / "cars", root / "log", *options)
    yield server
    server.process.kill()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the tests of a module. Scripts of pages may not run in it."""
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    started = Browser.start(tmp_path_factory.mktemp("browser"))
    started.command("Emulation.setScriptExecutionDisabled", value=True)
    yield started
    started.close()


def fill_directory(path: Path) -> None:
    """Make a PLC directory with the accounts of the fixture."""
    store = PlcStore(path)
    plc.import_logs(store)
    store.close()
