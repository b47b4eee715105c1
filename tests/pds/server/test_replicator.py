"""The child that replicates: it outlives no server, is started again, and stops last."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from pds.monitoring.logs import configure_logs
from pds.server.replicator import COMMAND, Replicator, replicator_of
from tests.pds.config.test_replication_settings import REPLICATED, settings_with
from tests.pds.config.test_settings import WORKING
from tests.pds.config.test_settings import settings_with as settings_without
from tests.processes import run_pds

_DEADLINE_S = 20.0


def program(text: str) -> tuple[str, ...]:
    """A child of these lines of Python; `note` writes a line to the file that NOTES names."""
    noting = (
        "import os, signal, sys, time\n"
        "def note(text):\n"
        "    with open(os.environ['NOTES'], 'a') as file: file.write(text + '\\n')\n"
    )
    return (sys.executable, "-c", noting + text)


class Notes:
    """What children have written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {**os.environ, "NOTES": str(path)}

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    async def until(self, holds: Callable[[list[str]], bool]) -> list[str]:
        async with asyncio.timeout(_DEADLINE_S):
            while not holds(lines := self.lines()):  # noqa: ASYNC110 (another process tells it)
                await asyncio.sleep(0.01)
        return lines


@asynccontextmanager
async def running(replicator: Replicator) -> AsyncIterator[Replicator]:
    replicator.start()
    try:
        yield replicator
    finally:
        await replicator.stop()


async def test_the_end_of_the_server_lets_it_finish_its_work(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    drains = "note('started')\nsys.stdin.read()\nnote('drained')"
    async with running(Replicator(notes.environ, command=program(drains))):
        await notes.until(lambda lines: lines == ["started"])
    assert notes.lines() == ["started", "drained"]


async def test_one_that_does_not_come_to_an_end_is_cut_off(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    endless = "note(str(os.getpid()))\nwhile True: time.sleep(60)"
    async with running(Replicator(notes.environ, command=program(endless), drain_s=0.1)):
        (pid,) = await notes.until(bool)
    assert not is_running(int(pid))


async def test_one_that_ends_is_started_again_after_longer_and_longer(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    logs = tmp_path / "log"
    configure_logs(destination=str(logs))
    fails = program("note('started')\nsys.exit(3)")
    try:
        async with running(Replicator(notes.environ, command=fails, first_pause_s=0.01)):
            await notes.until(lambda lines: len(lines) >= 4)
    finally:
        configure_logs()
    text = logs.read_text()
    assert '"ended":"exit status 3"' in text.replace(": ", ":")
    assert '"again_in_s":0.01' in text.replace(": ", ":")
    assert '"again_in_s":0.04' in text.replace(": ", ":")


async def test_a_program_that_cannot_be_started_does_not_harm_the_server(tmp_path: Path) -> None:
    missing = (str(tmp_path / "missing"),)
    async with running(Replicator({}, command=missing, first_pause_s=0.01)) as replicator:
        async with asyncio.timeout(_DEADLINE_S):
            while replicator.starts < 3:  # noqa: ASYNC110 (nothing tells it)
                await asyncio.sleep(0.01)
        assert replicator.pid is None


def test_a_data_directory_of_the_same_name_is_not_taken_for_the_program(tmp_path: Path) -> None:
    # As /pds is for a server that is started in the root directory.
    (tmp_path / "pds").mkdir()
    done = subprocess.run(  # noqa: S603
        [*COMMAND, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "Usage:" in done.stdout) == (0, True), done.stderr


async def test_it_stops_while_it_waits_to_be_started_again(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    fails = program("note('started')")
    async with (
        asyncio.timeout(_DEADLINE_S),
        running(Replicator(notes.environ, command=fails, first_pause_s=3_600)),
    ):
        await notes.until(bool)
    assert notes.lines() == ["started"]


async def test_a_server_that_is_killed_takes_it_along(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    child = program("note(str(os.getpid()))\nsys.stdin.read()\nnote('drained')")
    server = (
        "import asyncio, os\n"
        "from pds.server.replicator import Replicator\n"
        "async def serve():\n"
        f"    Replicator(os.environ, command={child!r}).start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(serve())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", server, env=notes.environ)
    (pid,) = await notes.until(bool)
    process.kill()
    await process.wait()
    assert await notes.until(lambda lines: len(lines) == 2) == [pid, "drained"]


async def test_ctrl_c_reaches_the_server_only(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    child = program("note(str(os.getpid()))\nsys.stdin.read()")
    async with running(Replicator(notes.environ, command=child)):
        (pid,) = await notes.until(bool)
        assert os.getpgid(int(pid)) == os.getsid(int(pid)) == int(pid)
        assert os.getpgid(int(pid)) != os.getpgid(0)


async def test_it_reopens_the_log_file_when_the_server_does(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    reopens = (
        "signal.signal(signal.SIGHUP, lambda *_: note('reopened'))\nnote('started')\n"
        "for line in sys.stdin: pass"
    )
    logs = configure_logs(destination=str(tmp_path / "log"))
    try:
        async with running(Replicator(notes.environ, command=program(reopens))) as replicator:
            logs.after_reopening.append(replicator.hang_up)
            await notes.until(bool)
            logs.reopen()
            assert await notes.until(lambda lines: len(lines) > 1) == ["started", "reopened"]
    finally:
        configure_logs()


async def test_it_has_the_settings_of_the_server_and_reads_no_file(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes")
    environ = {
        **notes.environ,
        "PDS_ENV_FILE": "/pds/pds.env",
        "PDS_REPLICATION_URL": "file:///backup",
        "NOTIFY_SOCKET": "/run/systemd/notify",
    }
    tells = (
        "note(os.environ['PDS_ENV_FILE'])\nnote(os.environ['PDS_REPLICATION_URL'])\n"
        "note(str('NOTIFY_SOCKET' in os.environ))\nsys.stdin.read()"
    )
    async with running(Replicator(environ, command=program(tells))):
        lines = await notes.until(lambda lines: len(lines) == 3)
    assert lines == [os.devnull, "file:///backup", "False"]


def is_running(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_server_has_one_only_if_it_is_to_replicate_itself() -> None:
    assert replicator_of(settings_without(), {}) is None
    assert replicator_of(settings_with(PDS_REPLICATION_WITH_SERVER="false"), {}) is None
    assert replicator_of(settings_with(), {}) is not None


def test_a_url_that_cannot_work_is_refused_before_the_start(tmp_path: Path) -> None:
    env = {**WORKING, **REPLICATED, "PDS_DATA_DIRECTORY": str(tmp_path / "data")}
    done = run_pds("serve", "--replicate", "file:///backup?endpoint=x", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_server_without_protection_for_its_keys_is_refused(tmp_path: Path) -> None:
    env = {**WORKING, "PDS_DATA_DIRECTORY": str(tmp_path / "data")}
    done = run_pds("serve", "--replicate", "file:///backup", env=env)
    assert done.returncode == 1
    assert "set PDS_REPLICATION_KEY_PASSPHRASE to the output of" in done.stderr
