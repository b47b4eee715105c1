"""What befalls the place of a replica, as `with` blocks."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

from tests.seaweedfs import SeaweedFs
from tests.small_disk import filled
from tests.tcp_proxy import Mode, TcpProxy

Trouble = Callable[[], AbstractAsyncContextManager[None]]


def make(replica: Path) -> None:
    """Make an empty directory for a replica."""
    replica.mkdir()


def directory_gone(replica: Path) -> Trouble:
    """The directory is not there, as if its disk were not mounted."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        hidden = replica.with_name("elsewhere")
        os.rename(replica, hidden)  # noqa: PTH104 (blocks for no time)
        yield
        os.rename(hidden, replica)  # noqa: PTH104

    return trouble


def directory_read_only(replica: Path) -> Trouble:
    """Nobody may write to it but root, whose rights the supervisor has not."""

    @asynccontextmanager
    async def trouble() -> AsyncIterator[None]:
        with _read_only(replica):
            yield

    return trouble


def directory_full(disk: Path) -> Trouble:
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


@contextmanager
def _read_only(replica: Path) -> Iterator[None]:
    directories = [replica, *(path for path in replica.rglob("*") if path.is_dir())]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in directories}
    for path in directories:
        path.chmod(0o555)
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
