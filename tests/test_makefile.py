"""The targets of the Makefile that take something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAKE = shutil.which("make")


@pytest.mark.skipif(MAKE is None, reason="there is no make")
@pytest.mark.parametrize(
    ("words", "environ", "expected"),
    [
        ((), {}, "pds dev"),
        (("PORT=3583",), {}, "pds dev --port 3583 --plc-port $((3583 - 1))"),
        # Of some other program.
        ((), {"PORT": "8080"}, "pds dev"),
    ],
)
def test_make_run_takes_a_port(
    words: tuple[str, ...], environ: dict[str, str], expected: str
) -> None:
    assert MAKE is not None
    done = subprocess.run(  # noqa: S603
        [MAKE, "--no-print-directory", "--dry-run", "run", *words],
        cwd=ROOT,
        # What a `make` around the tests says to those within is not for this one.
        env={**{k: v for k, v in os.environ.items() if not k.startswith("MAKE")}, **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines()[-1].strip() == f".venv/bin/{expected}"
