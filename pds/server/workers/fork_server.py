"""The process that workers are forked from, as the first process sees it."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from database.collector import without_collector
from pds.server.workers.forking import ENDED, LARGEST_BYTES, STARTED, serve_forks
from pds.server.workers.spec import WorkerSpec
from repo.lexicon import default_lexicons

# -P: nothing of the working directory is imported, such as the data directory /pds from the root.
_COMMAND: Final = (sys.executable, "-P", "-m", "pds.server.workers.forking")
_STATUS_S: Final = 2.0
"""How long an exit code may take to arrive."""
UNKNOWN: Final = 255
"""The exit code of a worker whose parent has been killed."""


class ForkServer:
    """Starts workers. Belongs to one event loop, before which it may be started."""

    def __init__(self) -> None:
        self._orders: socket.socket | None = None
        self._pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        """The one that is no copy of this process."""
        self._is_read = False
        self._starting: deque[asyncio.Future[int]] = deque()
        self._ending: dict[int, asyncio.Future[int]] = {}

    @classmethod
    def forked(cls) -> ForkServer:
        """Start it as a copy of this process, which is single-threaded and has no files open yet.

        So the server is loaded once for all of its processes.
        """
        made = cls()
        with without_collector():
            default_lexicons()
        sys.stdout.flush()
        sys.stderr.flush()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        own = os.getpid()
        made._pid = os.fork()
        if made._pid == 0:
            ours.close()
            serve_forks(theirs, own)
        theirs.close()
        made._orders = ours
        return made

    async def start(self, spec: WorkerSpec, files: Sequence[int]) -> int:
        """Start a worker with open files, the lock first, and return its pid. Raises `OSError`."""
        if self._orders is None:
            self._execute()
        orders = self._orders
        assert orders is not None  # noqa: S101 (for the type checker)
        loop = asyncio.get_running_loop()
        if not self._is_read:
            orders.setblocking(False)
            loop.add_reader(orders, self._read)
            self._is_read = True
        started: asyncio.Future[int] = loop.create_future()
        self._starting.append(started)
        try:
            socket.send_fds(orders, [pickle.dumps(spec)], files)
        except OSError:
            self._starting.remove(started)
            raise
        return await started

    async def exit_code(self, pid: int) -> int:
        """Return how a worker has ended: negative for a signal; `UNKNOWN` if nobody knows."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_STATUS_S):
                return await self._ending[pid]
        return UNKNOWN

    def close(self) -> None:
        """End it, after all workers have ended."""
        if self._orders is not None:
            self._lose()

    def _execute(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own)
                [*_COMMAND, str(theirs.fileno()), str(os.getpid())], pass_fds=(theirs.fileno(),)
            )
        self._orders = ours

    def _read(self) -> None:
        orders = self._orders
        if orders is None:
            return
        try:
            data = orders.recv(LARGEST_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lose()
            return
        kind, *values = pickle.loads(data)  # noqa: S301 (from a copy of this process)
        if kind == ENDED:
            pid, code = values
            self._ending[pid].set_result(code)
            return
        started = self._starting.popleft()
        if kind == STARTED:
            (pid,) = values
            self._ending[pid] = asyncio.get_running_loop().create_future()
            if not started.done():
                started.set_result(pid)
        elif not started.done():
            started.set_exception(OSError(*values))

    def _lose(self) -> None:
        """Forget a process that has ended, or ends now. The next worker needs another."""
        orders, self._orders = self._orders, None
        if orders is None:
            return
        if self._is_read:
            asyncio.get_running_loop().remove_reader(orders)
            self._is_read = False
        orders.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        elif self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0
        for future in self._starting:
            if not future.done():
                future.set_exception(OSError("the process that workers are forked from has ended"))
        self._starting.clear()
        for future in self._ending.values():
            if not future.done():
                future.set_result(UNKNOWN)
