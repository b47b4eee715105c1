"""The commands as other programs run them: real processes, bytes in and out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pds.car.cars import car_of
from tests.processes import clean_environment
from tests.warm_python import start_python


@dataclass(slots=True, frozen=True)
class Ended:
    """How a command has ended."""

    status: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


def run_car(*args: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> Ended:
    """Run `pds car …` to its end. No command ever shows a traceback."""
    pipe = subprocess.PIPE
    process = start_python(
        command(*args), env=clean_environment(), cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe
    )
    with process:
        try:
            out, err = process.communicate(stdin, timeout=60)
        finally:
            process.kill()
    ended = Ended(process.returncode, out, err.decode())
    assert "Traceback" not in ended.err, ended.err
    return ended


def command(*args: str | Path) -> Sequence[str]:
    """The words that run `pds car …`."""
    return [sys.executable, "-m", "pds", "car", *map(str, args)]


@pytest.fixture
def car(tmp_path: Path) -> Path:
    """The CAR of `RECORDS`."""
    path = tmp_path / "alice.car"
    path.write_bytes(car_of())
    return path
