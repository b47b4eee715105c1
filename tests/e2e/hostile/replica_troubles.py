"""What befalls the place of a replica, as `with` blocks."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.seaweedfs import SeaweedFs
from tests.small_disk import filled
from tests.tcp_proxy import Mode, TcpProxy

Trouble = Callable[[], AbstractAsyncContextManager[None]]


@contextmanager
def mounted(directory: Path, at: Path) -> Iterator[None]:
    """Mount a directory at another; skips the test where nobody can."""
    directory.mkdir()
    at.mkdir()
    _mount(directory, at)
    try:
        yield
    finally:
        _run("umount", "-l", str(at))


def disk_not_mounted(directory: Path, at: Path) -> Trouble:
    """The disk is not mounted any more, and then mounted again."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        _run("umount", "-l", str(at))
        yield
        _mount(directory, at)

    return trouble


def disk_read_only(disk: Path) -> Trouble:
    """The disk takes nothing, as after an error of its file system."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        # Refused while a file is open for writing.
        _run("mount", "-o", "remount,ro", str(disk), tries=100)
        yield
        _run("mount", "-o", "remount,rw", str(disk))

    return trouble


def disk_full(disk: Path) -> Trouble:
    """The disk has no room."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        with filled(disk):
            yield

    return trouble


def server_gone(server: SeaweedFs) -> Trouble:
    """The S3 server has ended, and starts again."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        server.kill()
        yield
        server.start_again()

    return trouble


def server_says(proxy: TcpProxy, status: int, code: str) -> Trouble:
    """The S3 server answers every request with an error."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        proxy.refusal = (status, code)
        async with _proxy_in(proxy, "refuse"):
            yield

    return trouble


def server_stalls(proxy: TcpProxy) -> Trouble:
    """The S3 server takes connections and requests, and does not answer."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        async with _proxy_in(proxy, "stall"):
            yield

    return trouble


@asynccontextmanager
async def _proxy_in(proxy: TcpProxy, mode: Mode) -> AsyncIterator[None]:
    proxy.mode = mode
    try:
        yield
    finally:
        proxy.mode = "pass"
        proxy.cut()


def _mount(directory: Path, at: Path) -> None:
    _run("mount", "--bind", str(directory), str(at))


def _run(command: str, *args: str, tries: int = 1) -> None:
    program = shutil.which(command)
    if os.geteuid() != 0 or program is None:
        pytest.skip("mounting a file system needs root, and its tools")
    for _ in range(tries):
        if not subprocess.run([program, *args], check=False, capture_output=True).returncode:  # noqa: S603
            return
    pytest.skip("this environment mounts nothing")
