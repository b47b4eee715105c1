"""Other programs that have the databases of a data directory open, as processes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.processes import clean_environment

DATABASES: Final = ("account.sqlite", "sequencer.sqlite")

_PROGRAM: Final = """
import pathlib, sys, apsw
from pds.disk.data_directory import DataDirectoryLock
if sys.argv[1] == "holding":
    lock = DataDirectoryLock.acquire(pathlib.Path(sys.argv[2]).parent)
connections = [apsw.Connection(path) for path in sys.argv[2:]]
for db in connections:
    db.execute("SELECT count(*) FROM sqlite_master").fetchall()
    if sys.argv[1] == "reading":
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchall()
print("ready", flush=True)
sys.stdin.read()
"""
_ELSEWHERE: Final = ("unshare", "--pid", "--fork", "--mount-proc")


@contextmanager
def program(
    directory: Path,
    *,
    databases: Sequence[str] = DATABASES,
    reading: bool = False,
    holding: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with `databases` open: idle as a server is, or `reading` as Litestream does.

    One that is `holding` the directory is a Holdfast server.
    """
    mode = "reading" if reading else "holding" if holding else "idle"
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-c", _PROGRAM, mode),
            *(str(directory / name) for name in databases),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        process.communicate(timeout=30)


def can_hide() -> bool:
    """Whether this user may make a PID namespace."""
    if shutil.which(_ELSEWHERE[0]) is None:
        return False
    return subprocess.run([*_ELSEWHERE, "true"], check=False).returncode == 0  # noqa: S603


def run_elsewhere(*args: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run Python where it cannot see our processes, as in another container."""
    return subprocess.run(  # noqa: S603
        [*_ELSEWHERE, sys.executable, *args],
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
