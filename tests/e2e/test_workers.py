"""Workers that die, hang or cannot start, and a first process that dies: what the others do."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from pds.peers.peers import owner_number
from tests.e2e.process_tree import forkers_of
from tests.e2e.replicating_server import is_running
from tests.e2e.soak import at_length_only
from tests.e2e.worker_server import WorkerServer
from tests.e2e.writers import Writer
from tests.processes import DevServer

_WORKERS = 3
_HANG_S = 5.0
"""The least that may be set."""


@pytest.fixture
def pds(server: DevServer, tmp_path: Path) -> Iterator[WorkerServer]:
    pds = WorkerServer(
        tmp_path,
        f"http://127.0.0.1:{server.plc_port}",
        _WORKERS,
        {"PDS_WORKER_TIMEOUT": str(int(_HANG_S * 1000))},
    )
    pds.start()
    yield pds
    pds.kill()


@pytest.fixture
async def writer(pds: WorkerServer) -> AsyncIterator[Writer]:
    # Each request on a connection of its own: that of a worker which is stopped is not used again.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield await Writer.join(pds, http, "alice")


async def test_a_worker_that_is_killed_is_replaced_and_its_writes_go_on(
    pds: WorkerServer, writer: Writer
) -> None:
    await writer.write("before")
    owner = _owner_of(pds, writer)
    os.kill(owner, signal.SIGKILL)
    await _until_gone(pds, owner)
    await writer.write("after")
    await writer.check_promises()
    assert len(writer.promised) == 2
    assert "killed by SIGKILL" in pds.log()


async def test_a_worker_that_stands_still_is_killed_and_replaced(
    pds: WorkerServer, writer: Writer
) -> None:
    owner = _owner_of(pds, writer)
    os.kill(owner, signal.SIGSTOP)
    await _until_gone(pds, owner)
    await writer.write("after")
    assert pds.lines("a worker hangs and is killed") == 1


@at_length_only
async def test_a_first_process_that_is_stopped_for_a_while_kills_no_worker(
    pds: WorkerServer, writer: Writer
) -> None:
    before = pds.worker_pids()
    os.kill(pds.first, signal.SIGSTOP)
    await asyncio.sleep(2 * _HANG_S)
    os.kill(pds.first, signal.SIGCONT)
    await writer.write("after")
    await asyncio.sleep(1)
    assert pds.worker_pids() == before


async def test_when_the_first_process_is_killed_no_other_outlives_it_even_one_that_hangs(
    pds: WorkerServer, writer: Writer
) -> None:
    await writer.write("before")
    others = pds.processes()[1:]
    assert len(others) == 1 + _WORKERS
    os.kill(others[-1], signal.SIGSTOP)
    await asyncio.to_thread(pds.kill)
    began = time.monotonic()
    await asyncio.to_thread(pds.until, lambda: not any(is_running(pid) for pid in others))
    assert time.monotonic() - began < 5
    await asyncio.to_thread(pds.start)
    await writer.write("after")
    await writer.check_promises()


async def test_when_the_process_that_workers_are_forked_from_is_killed_all_are_replaced(
    pds: WorkerServer, writer: Writer
) -> None:
    await writer.write("before")
    before = pds.worker_pids()
    (forker,) = forkers_of(pds.first)
    os.kill(forker, signal.SIGKILL)
    for pid in before:
        await _until_gone(pds, pid)
    await asyncio.to_thread(pds.until, lambda: len(pds.worker_pids()) == _WORKERS)
    await writer.write("after")
    await writer.check_promises()
    await asyncio.to_thread(pds.stop)


async def test_a_worker_that_dies_again_and_again_is_not_started_in_a_tight_loop(
    pds: WorkerServer, writer: Writer
) -> None:
    until, starts = time.monotonic() + 4, set(pds.worker_pids())
    while time.monotonic() < until:
        for pid in pds.worker_pids()[-1:]:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.02)
        starts |= set(pds.worker_pids())
    # Of three workers: the first deaths of each are followed by a start at once.
    assert len(starts) < 10 * _WORKERS


def _owner_of(pds: WorkerServer, writer: Writer) -> int:
    """The pid of the worker that writes an account; they are started in the order of numbers."""
    return sorted(pds.worker_pids())[owner_number(writer.did, pds.workers)]


async def _until_gone(pds: WorkerServer, pid: int) -> None:
    await asyncio.to_thread(pds.until, lambda: not is_running(pid))
    # The others notice in their next step, and what they had sent by then may have been done.
    await asyncio.sleep(0.1)
