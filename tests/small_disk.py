"""Small file systems for tests, and filling them up."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_BLOCK = bytes(4096)


@contextmanager
def small_disk(directory: Path, *, size_mb: int) -> Iterator[Path]:
    """A file system of `size_mb` at `directory`; skips the test where nobody can mount one."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("mounting a file system needs root")
    directory.mkdir()
    command = [mount, "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this environment mounts nothing")
    try:
        yield directory
    finally:
        subprocess.run([umount, "-l", str(directory)], check=True)  # noqa: S603


def fill(disk: Path, *, but_bytes: int = 0) -> Path:
    """Take all the room that a disk has left, or all but some; return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(_BLOCK)
    os.truncate(ballast, ballast.stat().st_size - but_bytes)
    return ballast


@contextmanager
def filled(disk: Path, *, but_bytes: int = 0) -> Iterator[None]:
    """A `with` block during which a disk is full."""
    ballast = fill(disk, but_bytes=but_bytes)
    yield
    ballast.unlink()
