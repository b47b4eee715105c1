"""`Loaders`: processes that load CAR files concurrently, and never outlive the server."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread

from pds.readonly.loading import BadCar, LoadedCar, load_car


class Loaders:
    """Processes that start when there is work and end with `close`."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool = _new_pool(processes)
        self._alone = asyncio.Lock()

    async def load(self, path: Path, store: Path) -> LoadedCar | BadCar:
        """Load a file into a new database, as `load_car` does."""
        pool = self._pool
        try:
            return await _load_in(pool, path, store)
        except BrokenProcessPool:
            # Some file has crashed a process, and with it the pool: loading each alone shows which.
            if self._pool is pool:
                self._pool = _new_pool(self._processes)
            return await self._load_alone(path, store)

    def close(self) -> None:
        """End every process at once, whatever it is doing."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        # A pool waits for its running tasks, which may take minutes.
        for process in active_children():
            process.kill()

    async def _load_alone(self, path: Path, store: Path) -> LoadedCar | BadCar:
        async with self._alone:
            pool = _new_pool(1)
            try:
                return await _load_in(pool, path, store)
            except BrokenProcessPool:
                return BadCar("the process that read it has ended, perhaps for lack of memory")
            finally:
                pool.shutdown(wait=False)


def _new_pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process has threads and open databases.
    return ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_depend_on_server
    )


async def _load_in(pool: ProcessPoolExecutor, path: Path, store: Path) -> LoadedCar | BadCar:
    return await asyncio.get_running_loop().run_in_executor(pool, load_car, path, store)


def _depend_on_server() -> None:
    """In a new process: end with the server, however that ends, but ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_server, daemon=True).start()


def _end_with_server() -> None:
    server = parent_process()
    if server is not None:
        server.join()
        os._exit(1)
