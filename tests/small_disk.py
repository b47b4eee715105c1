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
_OF_EXT4_MB = 6
"""What a small one takes for itself."""


@contextmanager
def small_disk(directory: Path, *, size_mb: int, ext4: bool = False) -> Iterator[Path]:
    """A file system of `size_mb` at `directory`; skips the test where nobody can mount one.

    It is in memory unless it is to be `ext4`, which finds room for other things than that does.
    """
    mount, umount, mkfs = map(shutil.which, ("mount", "umount", "mkfs.ext4"))
    if os.geteuid() != 0 or mount is None or umount is None or (ext4 and mkfs is None):
        pytest.skip("mounting a file system needs root, and its tools")
    directory.mkdir()
    command = [mount, "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(directory)]
    if ext4:
        image = directory.with_name(f"{directory.name}.ext4")
        with image.open("wb") as file:
            file.truncate((size_mb + _OF_EXT4_MB) << 20)
        subprocess.run([str(mkfs), "-q", "-m", "0", str(image)], check=True)  # noqa: S603
        command = [mount, "-o", "loop", str(image), str(directory)]
    if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("this environment mounts nothing")
    for made_with_it in directory.iterdir():
        made_with_it.rmdir()
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
