"""Running hostile clients beside a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

ATTACKING: Final = "ATTACKING"
"""The line that a hostile client prints once it does what it is for."""
_STOP_S: Final = 10.0


@contextmanager
def attack(client: str, *args: str, processes: int = 1) -> Iterator[list[subprocess.Popen[str]]]:
    """Run `clients/<client>.py` from when it attacks until the end of a `with` block."""
    with ExitStack() as stack:
        running = [_start(stack, client, args) for _ in range(processes)]
        for process in running:
            _wait_until_it_attacks(process)
        yield running


def _start(stack: ExitStack, client: str, args: tuple[str, ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"tests.e2e.hostile.clients.{client}", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 (our own)
    stack.callback(_stop, process)
    return process


def _wait_until_it_attacks(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == ATTACKING:
            return
    raise RuntimeError(f"the hostile client ended with status {process.wait()} before it attacked")


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(_STOP_S)
    if process.stdout is not None:
        process.stdout.close()
