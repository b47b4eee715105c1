"""Starting and stopping: while it loads, cut off in the middle, beside another server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pds.readonly.progress import log_progress
from tests.pds.car.cars import DID, POST, car_of
from tests.pds.conftest import Pds
from tests.pds.readonly.conftest import OFFLINE, ReadonlyServer, StartServer, wait_until
from tests.pds.readonly.shelves import open_shelf
from tests.processes import run_pds
from tests.reference import data

LARGE = "did:web:large.example.com"


@pytest.fixture(scope="module")
def large_car(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes seconds to load: 20 MB."""
    path = tmp_path_factory.mktemp("large") / "large.car"
    records = {f"{POST}/{n}": {"n": n, "text": "x" * 250} for n in range(60_000)}
    path.write_bytes(car_of(records, did=LARGE))
    return path


@pytest.fixture
def cars(tmp_path: Path, large_car: Path) -> Path:
    """A directory with the large file and a small one, which comes first."""
    directory = tmp_path / "cars"
    directory.mkdir()
    (directory / "large.car").symlink_to(large_car)
    (directory / "alice.car").symlink_to(data.CARS / "alice.car")
    return directory


def children(server: ReadonlyServer) -> set[int]:
    pid = server.process.process.pid
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def front_page(server: ReadonlyServer) -> str:
    return server.client.request("GET", "/").body.decode()


def start_loading(start_server: StartServer, cars: Path, store: Path) -> ReadonlyServer:
    """A server of which it is certain that it is loading the large file."""
    server = start_server(cars, *OFFLINE, "--data", str(store), loaded=False)
    wait_until(lambda: any(store.glob("loading/*-read")) and server.serves(data_did("alice")))
    # Only now is it noted that the small one is loaded.
    wait_until(lambda: "1 more file is being loaded." in front_page(server))
    assert " loaded, " not in server.log()
    return server


def data_did(name: str) -> str:
    did = data.manifest()["accounts"][name]["did"]
    assert isinstance(did, str)
    return did


def test_what_is_loaded_is_served_while_the_rest_is_loading(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    server = start_loading(start_server, cars, tmp_path / "store")
    assert not server.serves(LARGE)
    assert "Serving on" in server.log()
    assert "1 more file is being loaded." in front_page(server)
    wait_until(lambda: server.serves(LARGE))
    wait_until(lambda: "being loaded" not in front_page(server))


def test_sigterm_ends_a_first_load_at_once_and_every_process(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    server = start_loading(start_server, cars, tmp_path / "store")
    loading = children(server)
    assert server.process.stop() == 0
    assert " loaded, " not in server.log()
    assert "Traceback" not in server.log()
    wait_until(lambda: not any(map(is_alive, loading)))


def test_after_a_crash_in_the_middle_the_next_start_loads_what_is_missing(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    server = start_loading(start_server, cars, store)
    loading = children(server)
    server.process.kill()
    wait_until(lambda: not any(map(is_alive, loading)))
    again = start_server(cars, *OFFLINE, "--data", str(store))
    assert "1 loaded, 1 unchanged, 0 refused" in again.log()
    assert again.serves(LARGE)
    assert list((store / "loading").iterdir()) == []


def test_a_second_server_on_the_same_data_is_refused(
    start_server: StartServer, cars: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    start_server(cars / "alice.car", *OFFLINE, "--data", store)
    second = run_pds("readonly", "--car", str(cars), "--data", store, "--port", "0")
    assert second.returncode == 1
    assert f"holds the data directory {store}. Stop it first, or set --data" in second.stderr


def test_a_cache_that_cannot_be_written_names_the_option(cars: Path) -> None:
    # No user may make files in /proc, not even root.
    refused = run_pds("readonly", "--car", str(cars), "--data", "/proc/1/cache", "--port", "0")
    assert refused.returncode == 1
    assert "--data" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_names_that_are_not_utf_8_are_shown_all_the_same(
    start_server: StartServer, tmp_path: Path
) -> None:
    for name in (b"good-\xff.car", b"bad-\xff.car"):
        content = car_of() if b"good" in name else b"x"
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    server = start_server(tmp_path, *OFFLINE)
    assert server.serves(DID)
    for path in ("/", f"/repo/{DID}"):
        reply = server.client.request("GET", path)
        assert reply.status == 200
        assert rb"-\xff.car" in reply.body
    assert r"bad-\\xff.car" in server.log()


def test_a_directory_without_files_is_told_of(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(tmp_path, *OFFLINE)
    assert "there are no CAR files yet" in server.log()


async def test_progress_moves_within_a_file(pds: Pds, large_car: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with open_shelf(pds.ctx, tmp_path, [large_car]) as shelf:
        await shelf.library.update(lambda done, total: seen.append((done, total)))
        ((_, car),) = shelf.catalog.cars().items()
    size = car.file.size_bytes
    assert {total for _, total in seen} == {size}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert any(0 < done < size for done, _ in seen)


def test_where_there_is_no_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now_s = 0.0
    show = log_progress(lambda: now_s)
    for second in range(25):
        now_s = float(second)
        show(second, 25)
    lines = [line for line in capsys.readouterr().out.splitlines() if "loading CAR files" in line]
    assert len(lines) == 2
    assert "percent=40" in lines[0]
