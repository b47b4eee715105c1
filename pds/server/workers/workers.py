"""The workers of a server: started together, replaced when they die or hang, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pds.peers.calls import telling
from pds.peers.locks import forget_worker
from pds.recovery.after_worker import mend_after
from pds.server.workers.worker_process import WorkerProcess, fork_server

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.server.workers.spec import WorkerSpec

START_S: Final = 60.0
"""How long a worker may take until it answers."""
STOP_S: Final = 20.0
"""How long it may take to end, before it is killed."""
_WATCH_S: Final = 0.5
_DELAYS_S: Final = (0.0, 0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Delays before a worker that keeps dying is started again."""
_GOOD_S: Final = 60.0
"""A worker that has lived so long did not die of its start."""

_log = structlog.get_logger(__name__)


class WorkersFailed(Exception):
    """The workers could not be started; the logs say why."""


class Workers:
    """The workers, as the first process keeps them. Belongs to one event loop."""

    def __init__(
        self,
        ctx: AppContext,
        spec_of: Callable[[int], WorkerSpec],
        *,
        number: int,
        hang_s: float,
    ) -> None:
        """`spec_of` makes what each of `number` workers is started with.

        One that has been silent for `hang_s` seconds is killed, and replaced.
        """
        self._ctx = ctx
        self._spec_of = spec_of
        self._hang_s = hang_s
        self._fork_server = fork_server()
        self._workers: dict[int, WorkerProcess] = {}
        self._number = number
        self._deaths = [0] * number
        self._replaced: dict[int, asyncio.Event] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._replacing = asyncio.Lock()
        self._stopping = False
        ctx.peers.heard_from = self._note_beat

    async def start(self) -> None:
        """Start all, and wait until they answer requests. Raises `WorkersFailed`."""
        for number in range(self._number):
            self._start(number)
        try:
            async with asyncio.timeout(START_S):
                await asyncio.gather(*map(_until_ready, self._workers.values()))
        except TimeoutError as exc:
            raise WorkersFailed(f"the workers do not answer after {START_S:.0f} seconds") from exc
        self._keepers = [asyncio.create_task(self._keep(number)) for number in range(self._number)]

    async def stop(self) -> None:
        """Let all finish their requests and end; kill those that do not."""
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*map(_end, self._workers.values()))

    async def replace_all(self) -> None:
        """Replace one after the other; each first finishes its requests."""
        async with self._replacing:
            for number in range(self._number):
                if self._stopping:
                    return
                worker = self._workers[number]
                replaced = self._replaced[number] = asyncio.Event()
                await _end(worker)
                with suppress(TimeoutError):
                    async with asyncio.timeout(START_S):
                        await replaced.wait()
                        await self._workers[number].is_ready.wait()

    @property
    def pids(self) -> list[int | None]:
        """The process ids, by number."""
        return [self._workers[number].pid for number in range(self._number)]

    def _start(self, number: int) -> None:
        self._workers[number] = WorkerProcess(self._fork_server, self._spec_of(number))

    def _note_beat(self, number: int) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            worker.note_beat()

    async def _keep(self, number: int) -> None:
        """Replace the worker of this number whenever it ends."""
        while True:
            worker = self._workers[number]
            await self._watch(worker)
            self._ctx.peers.forget(number)
            self._ctx.peers.tell_others(telling(forget_worker, number))
            self._ctx.account_locks.take_back_all(number)
            if not worker.is_stopping:
                _log.error(
                    "a worker has ended and is replaced",
                    worker=number,
                    pid=worker.pid,
                    exit_code=worker.exit_code,
                )
                await self._mend(number)
                lived_s = asyncio.get_running_loop().time() - worker.started_at
                deaths = 0 if lived_s > _GOOD_S else self._deaths[number] + 1
                self._deaths[number] = deaths
                await asyncio.sleep(_DELAYS_S[min(deaths, len(_DELAYS_S) - 1)])
            self._start(number)
            if number in self._replaced:
                self._replaced[number].set()

    async def _watch(self, worker: WorkerProcess) -> None:
        """Wait until a worker has ended, and kill it if it hangs."""
        while not worker.has_ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await worker.has_ended.wait()
                    return
            limit_s = self._hang_s if worker.is_ready.is_set() else START_S
            if worker.silent_s > limit_s and not worker.is_stopping:
                _log.error(
                    "a worker hangs and is killed",
                    worker=worker.number,
                    pid=worker.pid,
                    silent_s=round(worker.silent_s, 1),
                )
                worker.kill()

    async def _mend(self, number: int) -> None:
        try:
            await mend_after(self._ctx, number, workers=self._number)
        except Exception:  # noqa: BLE001 (the worker is replaced nevertheless)
            _log.exception("what a worker left was not looked through", worker=number)


async def _until_ready(worker: WorkerProcess) -> None:
    ready = asyncio.create_task(worker.is_ready.wait())
    ended = asyncio.create_task(worker.has_ended.wait())
    await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    ended.cancel()
    if not worker.is_ready.is_set():
        raise WorkersFailed(f"worker {worker.number} ended with {worker.exit_code}")


async def _end(worker: WorkerProcess) -> None:
    worker.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await worker.has_ended.wait()
    except TimeoutError:
        _log.error("a worker does not end and is killed", worker=worker.number, pid=worker.pid)
        worker.kill()
        await worker.has_ended.wait()
