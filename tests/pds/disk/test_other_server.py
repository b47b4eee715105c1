"""Two servers on one directory: a server that does not heed our lock is noticed, tools are not."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from database.open_elsewhere import find_holders
from pds.config import Settings, read_settings
from pds.disk.data_directory import LOCK_FILE
from pds.disk.other_server import DirectoryInUse, find_other_server, refuse_other_server
from pds.doctor.users import find_users
from tests.pds.other_programs import DATABASES, can_hide, program, run_elsewhere
from tests.processes import free_port, run_pds
from tests.reference import data

_LITESTREAM = shutil.which("litestream", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")

if_hidden = pytest.mark.skipif(not can_hide(), reason="needs the right to make a PID namespace")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """What the reference PDS has left behind."""
    return data.unpack(tmp_path / "data")


def environment(directory: Path, **changes: str) -> dict[str, str]:
    settings = {"PDS_DID_PLC_URL": "http://localhost:1", "PDS_PORT": str(free_port())}
    return data.environment(directory) | settings | changes


def settings_of(directory: Path, **changes: str) -> Settings:
    return read_settings(environment(directory, **changes))


def contents(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Every file but our lock and what readers write, too: when it changed, and its bytes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file() and path.name != LOCK_FILE and not path.name.endswith("-shm")
    }


def test_a_process_with_both_databases_open_is_a_server(directory: Path) -> None:
    with program(directory) as server:
        other = find_other_server(settings_of(directory))
        assert other is not None
        assert other.pid == server.pid
        with pytest.raises(
            DirectoryInUse, match=rf"python\S* \(pid {server.pid}\) .*Stop it first"
        ):
            refuse_other_server(settings_of(directory))
    assert find_other_server(settings_of(directory)) is None


@pytest.mark.parametrize("database", DATABASES)
def test_a_tool_that_looks_at_one_database_is_no_server(directory: Path, database: str) -> None:
    with program(directory, databases=[database]) as tool:
        assert [each.pid for each in find_holders(directory / database)] == [tool.pid]
        assert find_other_server(settings_of(directory)) is None


def test_a_replicator_is_no_server_and_hides_none(directory: Path) -> None:
    with program(directory, reading=True):
        assert find_other_server(settings_of(directory)) is None
        with program(directory) as server:
            other = find_other_server(settings_of(directory))
            assert other is not None
            assert other.pid == server.pid


@pytest.mark.skipif(_LITESTREAM is None, reason="Litestream is not installed")
def test_litestream_is_no_server(directory: Path, tmp_path: Path) -> None:
    with litestream(directory, tmp_path) as process:
        for name in DATABASES:
            assert process.pid in {each.pid for each in find_holders(directory / name)}
        assert find_other_server(settings_of(directory)) is None
        if can_hide():
            assert seen_elsewhere(directory) == "None"


@contextmanager
def litestream(directory: Path, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real one, from when it has read both databases on."""
    assert _LITESTREAM is not None
    replicas = "".join(
        f"  - path: {directory / name}\n    replica: {{type: file, path: {scratch / name}}}\n"
        for name in DATABASES
    )
    config = scratch / "litestream.yml"
    config.write_text(f"dbs:\n{replicas}")
    with (scratch / "litestream.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [_LITESTREAM, "replicate", "-config", str(config)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while not all(reads(process.pid, directory / name) for name in DATABASES):
            assert time.monotonic() < deadline, (scratch / "litestream.log").read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def reads(pid: int, database: Path) -> bool:
    return any(each.pid == pid and each.is_reading for each in find_holders(database))


def test_a_backup_is_no_server(directory: Path, tmp_path: Path) -> None:
    backup = "; ".join(
        f"b = s.connect({str(tmp_path / name)!r}); s.connect({str(directory / name)!r}).backup(b)"
        for name in DATABASES
    )
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", f"import sqlite3 as s\nwhile True: {backup}"]
    )
    try:
        assert find_other_server(settings_of(directory)) is None
    finally:
        process.kill()
        process.wait(30)


def test_serve_refuses_and_leaves_the_files_of_the_other_server_alone(directory: Path) -> None:
    with program(directory) as server:
        before = contents(directory)
        done = run_pds("serve", env=environment(directory))
        assert contents(directory) == before
    assert done.returncode == 1
    assert f"(pid {server.pid}) has the databases of {directory} open" in done.stderr
    assert "PDS_IGNORE_OTHER_SERVER=true" in done.stderr


def test_a_command_refuses_to_write_beside_another_server(directory: Path) -> None:
    with program(directory) as server:
        before = contents(directory)
        done = run_pds("account", "takedown", "alice.test", env=environment(directory))
        assert contents(directory) == before
    assert done.returncode == 1
    assert f"(pid {server.pid})" in done.stderr


def test_the_operator_may_say_that_it_is_no_server(directory: Path) -> None:
    env = environment(directory, PDS_IGNORE_OTHER_SERVER="true")
    with program(directory) as server:
        done = run_pds("account", "takedown", "alice.test", env=env)
        assert done.returncode == 0, done.stderr
        finding = find_users(read_settings(env)).finding(read_settings(env))
    assert finding.status == "warning"
    assert f"(pid {server.pid})" in finding.message
    with closing(sqlite3.connect(directory / "account.sqlite")) as db:
        assert db.execute("SELECT count(takedownRef) FROM actor").fetchone() == (2,)


def seen_elsewhere(directory: Path) -> str:
    """The server that a process in a PID namespace of its own finds."""
    look = (
        "from pds.config import read_settings; "
        "from pds.disk.other_server import find_other_server; "
        "print(find_other_server(read_settings()))"
    )
    return run_elsewhere("-c", look, env=environment(directory)).stdout.strip()


@if_hidden
def test_a_server_of_another_container_is_refused(directory: Path) -> None:
    with program(directory):
        done = run_elsewhere("-m", "pds", "serve", env=environment(directory))
    assert done.returncode == 1
    assert "A process that cannot be seen from here" in done.stderr


@if_hidden
def test_a_replicator_of_another_container_is_no_server(directory: Path) -> None:
    with program(directory, reading=True):
        assert seen_elsewhere(directory) == "None"


@if_hidden
def test_holdfast_in_another_container_is_not_taken_for_a_second_server(directory: Path) -> None:
    look = (
        "from pds.config import read_settings; from pds.doctor.users import find_users; "
        "settings = read_settings(); print(find_users(settings).finding(settings).status)"
    )
    with program(directory, holding=True):
        env = environment(directory)
        assert run_elsewhere("-c", look, env=env).stdout == "ok\n"
        settings = read_settings(env)
        assert find_users(settings).finding(settings).status == "ok"
        with program(directory) as other:
            finding = find_users(settings).finding(settings)
    assert finding.status == "error"
    assert f"(pid {other.pid})" in finding.message
