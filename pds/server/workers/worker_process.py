"""One worker as the first process sees it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Final

from pds.server.workers.main import run_worker
from pds.server.workers.spec import WorkerSpec

_PRELOAD: Final = "pds.server.workers.preload"


def fork_server() -> ForkServerContext:
    """Return what starts workers: a process that has loaded the server and forks for each one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOAD])
    return context


class WorkerProcess:
    """A running worker. Belongs to one event loop."""

    def __init__(self, context: ForkServerContext, spec: WorkerSpec) -> None:
        """Start it."""
        self.number = spec.number
        self.started_at = self.heard_at = time.monotonic()
        self.is_ready = asyncio.Event()
        """Set when it answers requests."""
        self.has_ended = asyncio.Event()
        self.is_stopping = False
        """Whether it is meant to end."""
        self._process: BaseProcess = context.Process(
            target=run_worker, args=(spec,), name=f"worker {spec.number}", daemon=True
        )
        self._process.start()
        asyncio.get_running_loop().add_reader(self._process.sentinel, self._note_end)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended: negative for a signal; None while it runs."""
        return self._process.exitcode

    @property
    def silent_s(self) -> float:
        """How long it has given no sign of life."""
        return time.monotonic() - self.heard_at

    def note_beat(self) -> None:
        """Note a sign of life."""
        self.heard_at = time.monotonic()
        self.is_ready.set()

    def terminate(self) -> None:
        """Let it finish its requests and end."""
        self.is_stopping = True
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._process.sentinel)
        self._process.join()
        self.has_ended.set()
