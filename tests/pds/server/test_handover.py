"""Handing the ports of a running server to another: by whom, to whom, and what is checked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pds.disk.data_directory import DataDirectoryLock
from pds.server import handover
from pds.server.handover import Offer, Predecessor, TakeOverFailed


@pytest.fixture
def port() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


@pytest.fixture
async def ended(tmp_path: Path, port: socket.socket) -> AsyncIterator[asyncio.Event]:
    """A server that offers its port, and the signal that ends it."""
    ended = asyncio.Event()
    lock = DataDirectoryLock.acquire(tmp_path)
    loop = asyncio.get_running_loop()

    def end() -> None:
        ended.set()
        lock.release()

    loop.add_signal_handler(signal.SIGTERM, end)
    offer = Offer(tmp_path, {"http": [port]})
    yield ended
    await offer.close()
    lock.release()
    loop.remove_signal_handler(signal.SIGTERM)


async def find(directory: Path) -> Predecessor:
    found = await asyncio.to_thread(Predecessor.find, directory)
    assert found is not None
    return found


async def test_the_sockets_are_those_of_the_running_server(
    tmp_path: Path, port: socket.socket, ended: asyncio.Event
) -> None:
    found = await find(tmp_path)
    assert found.pid == os.getpid()
    (handed,) = found.ports["http"]
    assert handed.getsockname() == port.getsockname()
    lock = await found.end(tmp_path)
    assert ended.is_set()
    lock.release()
    found.close()


async def test_one_that_asks_and_leaves_changes_nothing(
    tmp_path: Path, ended: asyncio.Event
) -> None:
    for _ in range(2):
        (await find(tmp_path)).close()
    assert not ended.is_set()
    found = await find(tmp_path)
    (await found.end(tmp_path)).release()
    found.close()


async def test_the_way_to_the_directory_does_not_matter(
    tmp_path: Path, ended: asyncio.Event
) -> None:
    long = tmp_path / ("a" * 200)
    long.symlink_to(tmp_path)
    (await find(long)).close()
    assert not ended.is_set()


async def test_another_user_gets_nothing(
    tmp_path: Path, ended: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "_peer_of", lambda _: (1, os.geteuid() + 1))
    with pytest.raises(TakeOverFailed, match="belongs to uid"):
        await asyncio.to_thread(Predecessor.find, tmp_path)
    assert not ended.is_set()


def test_without_a_server_there_is_nobody_to_ask(tmp_path: Path) -> None:
    assert Predecessor.find(tmp_path) is None
    assert Predecessor.find(tmp_path / "missing") is None
