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
    done = subprocess.run(  # noqa: S603 (our own program)
        command(*args),
        env=clean_environment(),
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    ended = Ended(done.returncode, done.stdout, done.stderr.decode())
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
