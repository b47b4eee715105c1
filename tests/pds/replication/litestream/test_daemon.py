"""A daemon that keeps running, whatever happens to its process."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream import bound_to_parent
from pds.replication.litestream.config import actors_config, services_config
from pds.replication.litestream.daemon import Bounds, DaemonState, LitestreamDaemon
from pds.replication.litestream.program import Program, find_program
from tests.pds.replication.litestream.daemons import (
    QUICK,
    add,
    asked,
    is_running,
    make_database,
    registered,
    restored,
    running,
)

_DEADLINE_S = 30.0


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(_DEADLINE_S):
        while not holds():  # noqa: ASYNC110 (a process sets no event)
            await asyncio.sleep(0.01)


def environ_of(daemon: LitestreamDaemon) -> bytes:
    """The environment that a daemon was started with."""
    return Path(f"/proc/{pid_of(daemon)}/environ").read_bytes()


def mode_of(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def pid_of(daemon: LitestreamDaemon) -> int:
    """The process of a daemon that runs."""
    assert daemon.pid is not None
    return daemon.pid


async def test_it_answers_after_its_start_and_is_gone_after_its_stop() -> None:
    async with running(services_config(retention_days=7)) as daemon:
        pid = pid_of(daemon)
        assert await daemon.client.pid() == pid
        assert (await asked(daemon.client, "info"))["version"] == "0.5.17"
        assert (daemon.state, daemon.restarts) == (DaemonState.RUNNING, 0)
        usage = daemon.usage()
        assert usage is not None
        assert usage.rss_bytes > 1024 * 1024
        assert usage.open_files > 3
    assert (daemon.state, daemon.pid, daemon.usage()) == (DaemonState.STOPPED, None, None)
    assert not is_running(pid)
    await daemon.stop()


async def test_two_run_side_by_side_and_only_this_user_reaches_them(tmp_path: Path) -> None:
    database = make_database(tmp_path / "db.sqlite")
    async with running() as one, running(services_config(retention_days=7)) as two:
        await one.client.register(database, f"file://{tmp_path / 'replica'}")
        assert (await registered(one.client), await registered(two.client)) == ([database], [])
        socket = one.client._socket
        assert (mode_of(socket.parent), mode_of(socket)) == (0o700, 0o600)
    assert not socket.parent.exists()


async def test_a_temporary_directory_with_a_long_name_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket's name has 107 bytes at most."""
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    async with running() as daemon:
        assert await registered(daemon.client) == []
    assert list(long.iterdir()) == []


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
async def test_one_that_dies_or_hangs_is_started_again_and_its_owner_hears_of_it(
    tmp_path: Path, fate: signal.Signals
) -> None:
    database = make_database(tmp_path / "db.sqlite")
    url = f"file://{tmp_path / 'replica'}"
    told = asyncio.Event()
    async with running(patience=QUICK) as daemon:

        async def register_again() -> None:
            await daemon.client.register(database, url)
            told.set()

        daemon.on_restart = register_again
        await daemon.client.register(database, url)
        await daemon.client.sync(database)
        add(database, 1)
        first = pid_of(daemon)
        os.kill(first, fate)
        async with asyncio.timeout(_DEADLINE_S):
            await told.wait()
        assert not is_running(first)
        assert daemon.restarts == 1
        assert daemon.last_error is not None
        assert (await daemon.client.sync(database)).replicated_txid >= 2
    assert restored(url, tmp_path) == [0, 1]


async def test_a_request_that_a_dying_daemon_leaves_fails_at_once(tmp_path: Path) -> None:
    database = make_database(tmp_path / "db.sqlite")
    async with running(patience=QUICK) as daemon:
        await daemon.client.register(database, f"file://{tmp_path / 'replica'}")
        os.kill(pid_of(daemon), signal.SIGSTOP)
        sync = asyncio.create_task(daemon.client.sync(database))
        with pytest.raises(LitestreamFailed) as caught:
            await asyncio.wait_for(sync, _DEADLINE_S)
        assert caught.value.trouble is Trouble.DAEMON_AWAY


async def test_owners_that_fail_do_not_end_the_watch() -> None:
    async with running(patience=QUICK) as daemon:
        calls = 0

        async def fail() -> None:
            nonlocal calls
            calls += 1
            raise LitestreamFailed("on purpose")

        daemon.on_restart = fail
        for number in (1, 2):
            os.kill(pid_of(daemon), signal.SIGKILL)
            await until(lambda number=number: calls == number)  # type: ignore[misc]
        assert daemon.state is DaemonState.RUNNING


async def test_one_that_uses_too_much_is_replaced_between_requests(tmp_path: Path) -> None:
    databases = [make_database(tmp_path / f"{number}.sqlite") for number in range(20)]
    daemon = LitestreamDaemon(
        actors_config(),
        program=find_program(),
        patience=QUICK,
        bounds=Bounds(rss_bytes=1, min_run_s=0.3),
    )
    await daemon.start()
    try:
        while daemon.renewals < 3:
            for database in databases:
                await sync_whatever_happens(
                    daemon, database, f"file://{tmp_path / 'r'}/{database.name}"
                )
        assert daemon.restarts == 0
        assert daemon.last_error is None
    finally:
        await daemon.stop()
    assert restored(f"file://{tmp_path / 'r'}/7.sqlite", tmp_path) == [0]


async def sync_whatever_happens(daemon: LitestreamDaemon, database: Path, url: str) -> None:
    """Register and sync as owners do: again if the daemon has started anew in between."""
    trouble: Trouble | None = Trouble.NOT_REGISTERED
    while trouble is Trouble.NOT_REGISTERED:
        await daemon.client.register(database, url)
        try:
            await daemon.client.sync(database)
            trouble = None
        except LitestreamFailed as exc:
            trouble = exc.trouble
    assert trouble is None


async def test_a_temporary_directory_that_was_cleaned_away_is_made_again() -> None:
    async with running(patience=QUICK) as daemon:
        socket = daemon.client._socket
        socket.unlink()
        (socket.parent / "litestream.yml").unlink()
        socket.parent.rmdir()
        await daemon.client.close()
        await until(lambda: daemon.restarts > 0 and daemon.state is DaemonState.RUNNING)
        assert await daemon.client.pid() == daemon.pid


async def test_a_program_that_ends_at_once_is_a_failure_that_quotes_it(tmp_path: Path) -> None:
    script = tmp_path / "litestream"
    script.write_text("#!/bin/sh\necho cannot do that >&2\nexit 3\n")
    script.chmod(0o755)
    daemon = LitestreamDaemon(actors_config(), program=Program(script, (0, 5, 17)))
    with pytest.raises(LitestreamFailed, match=r"status 3\): cannot do that"):
        await daemon.start()
    assert daemon.state is DaemonState.STOPPED


async def test_a_program_that_never_answers_is_ended(tmp_path: Path) -> None:
    script = tmp_path / "litestream"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    patience = type(QUICK)(start_s=0.3)
    daemon = LitestreamDaemon(
        actors_config(), program=Program(script, (0, 5, 17)), patience=patience
    )
    with pytest.raises(LitestreamFailed, match="no answer"):
        await daemon.start()
    assert daemon.pid is None


async def test_one_that_does_not_stop_in_time_is_killed() -> None:
    async with running() as daemon:
        pid = pid_of(daemon)
        os.kill(pid, signal.SIGSTOP)
        await daemon.stop(within_s=0.1)
        assert not is_running(pid)


async def test_one_whose_stop_is_cancelled_is_killed() -> None:
    async with running() as daemon:
        pid = pid_of(daemon)
        os.kill(pid, signal.SIGSTOP)
        stopping = asyncio.create_task(daemon.stop())
        await until(lambda: daemon.pid is None)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await until(lambda: not is_running(pid))


_SUPERVISOR = """
import asyncio, sys
from pds.replication.litestream.config import actors_config
from pds.replication.litestream.daemon import LitestreamDaemon
from pds.replication.litestream.program import find_program

async def main():
    daemon = LitestreamDaemon(actors_config(), program=find_program())
    await daemon.start()
    print(daemon.pid, flush=True)
    await asyncio.Event().wait()

if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_ends_with_a_supervisor_that_is_killed(loop: str, tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SUPERVISOR, loop),
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert supervisor.stdout is not None
    pid = int(await supervisor.stdout.readline())
    assert is_running(pid)
    supervisor.kill()
    await supervisor.wait()
    await until(lambda: not is_running(pid))


def test_a_program_whose_parent_has_ended_already_is_not_started() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", bound_to_parent.__file__, "1", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "parent" in done.stderr


async def test_the_daemon_has_none_of_the_servers_secrets() -> None:
    environ = {**os.environ, "PDS_JWT_SECRET": "x" * 32, "AWS_ACCESS_KEY_ID": "id"}
    async with running(environ=environ) as daemon:
        given = environ_of(daemon)
    assert b"PDS_" not in given
    assert b"AWS_ACCESS_KEY_ID=id" in given
