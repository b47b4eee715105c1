"""The workers of a server: started together, replaced when they die or hang, stopped together."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pds.peers.calls import telling
from pds.peers.locks import forget_worker
from pds.recovery.after_worker import mend_after
from pds.server.workers.worker_process import WorkerProcess

if TYPE_CHECKING:
    from pds.context import AppContext

START_S: Final = 60.0
"""How long a worker may take until it answers."""
STOP_S: Final = 20.0
"""How long it may take to end, before it is killed."""
_WATCH_S: Final = 0.5
_DELAYS_S: Final = (0.0, 0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Delays before a worker that keeps dying is started again."""
_GOOD_S: Final = 10.0
"""A worker that has lived so long did not die of its start."""

_log = structlog.get_logger(__name__)


class WorkersFailed(Exception):
    """The workers could not be started. The message tells the operator how they ended."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} The lines before this one say why. PDS_WORKERS=1 starts the server without "
            "workers."
        )


class Workers:
    """The workers, as the first process keeps them. Belongs to one event loop."""

    def __init__(
        self,
        ctx: AppContext,
        fork: Callable[[int], Awaitable[int]],
        exit_code: Callable[[int], Awaitable[int]],
        *,
        number: int,
        hang_s: float,
    ) -> None:
        """`fork` starts one of `number` workers and returns its pid; it may raise `OSError`.

        `exit_code` tells how the one with a pid has ended. One that has been silent for `hang_s`
        seconds is killed, and replaced.
        """
        self._ctx = ctx
        self._fork = fork
        self._exit_code = exit_code
        self._hang_s = hang_s
        self._workers: dict[int, WorkerProcess] = {}
        self._number = number
        self._deaths = [0] * number
        self._replaced: dict[int, asyncio.Event] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._replacing = asyncio.Lock()
        self._stopping = asyncio.Event()
        ctx.peers.heard_from = self._note_beat
        ctx.peers.may_leave = self._may_leave

    async def start(self) -> None:
        """Start all, and wait until they answer requests. Raises `WorkersFailed`."""
        try:
            async with asyncio.timeout(START_S):
                for number in range(self._number):
                    self._workers[number] = await self._start(number)
                await asyncio.gather(*map(self._until_ready, self._workers.values()))
        except TimeoutError as exc:
            raise WorkersFailed(f"The workers do not answer after {START_S:.0f} seconds.") from exc
        except OSError as exc:
            raise WorkersFailed(f"A worker cannot be started: {exc.strerror or exc}.") from exc
        self._keepers = [
            asyncio.create_task(self._keep(worker)) for worker in self._workers.values()
        ]

    async def stop(self) -> None:
        """Let all finish their requests and end; kill those that do not."""
        self._stopping.set()
        await asyncio.gather(*map(_end, self._workers.values()))
        # They look after what a worker has left that did not end in order.
        await asyncio.gather(*self._keepers)

    async def replace_all(self) -> None:
        """Replace one after the other; each first finishes its requests."""
        async with self._replacing:
            for number in range(self._number):
                if self._stopping.is_set():
                    return
                replaced = self._replaced[number] = asyncio.Event()
                await _end(self._workers[number])
                with suppress(TimeoutError):
                    async with asyncio.timeout(START_S):
                        await replaced.wait()
                        await self._workers[number].is_ready.wait()

    @property
    def pids(self) -> list[int]:
        """The process ids, by number."""
        return [self._workers[number].pid for number in range(self._number)]

    async def _start(self, number: int) -> WorkerProcess:
        return WorkerProcess(number, await self._fork(number))

    async def _until_ready(self, worker: WorkerProcess) -> None:
        ready = asyncio.create_task(worker.is_ready.wait())
        ended = asyncio.create_task(worker.has_ended.wait())
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        ended.cancel()
        if not worker.is_ready.is_set():
            how = describe_exit(await self._exit_code(worker.pid))
            raise WorkersFailed(f"Worker {worker.number} ended before it answered: {how}.")

    def _note_beat(self, number: int) -> None:
        worker = self._workers.get(number)
        if worker is not None:
            worker.note_beat()

    async def _may_leave(self, number: int) -> None:
        """Wait until a worker without requests may end.

        If all are to end, each answers the calls of the others until none has a request left.
        """
        self._workers[number].has_drained.set()
        if self._stopping.is_set():
            await asyncio.gather(*(each.has_drained.wait() for each in self._workers.values()))

    async def _keep(self, worker: WorkerProcess) -> None:
        """Replace a worker whenever it ends, until all are stopped."""
        number = worker.number
        while True:
            started_at = time.monotonic()
            await self._watch(worker)
            await self._clear_up(worker)
            if not worker.is_stopping:
                lived_s = time.monotonic() - started_at
                self._deaths[number] = 0 if lived_s > _GOOD_S else self._deaths[number] + 1
            while True:
                await self._pause(number, is_needed=not worker.is_stopping)
                if self._stopping.is_set():
                    return
                try:
                    worker = self._workers[number] = await self._start(number)
                    break
                except OSError as exc:
                    _log.error("a worker cannot be started", worker=number, reason=str(exc))
                    self._deaths[number] += 1
            if self._stopping.is_set():
                await _end(worker)
            if number in self._replaced:
                self._replaced[number].set()

    async def _pause(self, number: int, *, is_needed: bool) -> None:
        """Wait before a worker that keeps dying is started again, unless all are stopped."""
        delay_s = _DELAYS_S[min(self._deaths[number], len(_DELAYS_S) - 1)]
        if is_needed and delay_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stopping.wait()

    async def _watch(self, worker: WorkerProcess) -> None:
        """Wait until a worker has ended, and kill it if it hangs."""
        while not worker.has_ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await worker.has_ended.wait()
                    return
            # Not by the clock: while this process stood still itself, it heard from nobody.
            worker.silent_s += _WATCH_S
            limit_s = self._hang_s if worker.is_ready.is_set() else START_S
            if worker.silent_s > limit_s and not worker.is_stopping:
                _log.error(
                    "a worker hangs and is killed",
                    worker=worker.number,
                    pid=worker.pid,
                    silent_s=worker.silent_s,
                )
                worker.kill()

    async def _clear_up(self, worker: WorkerProcess) -> None:
        """Let the other processes forget a worker that has ended, and mend what it left."""
        number = worker.number
        self._ctx.peers.forget(number)
        self._ctx.peers.tell_others(telling(forget_worker, number))
        self._ctx.account_locks.take_back_all(number)
        exit_code = await self._exit_code(worker.pid)
        if exit_code == 0:
            return
        _log.error(
            "a worker has ended" if self._stopping.is_set() else "a worker has ended, replacing it",
            worker=number,
            pid=worker.pid,
            ended=describe_exit(exit_code),
        )
        try:
            await mend_after(self._ctx, number, workers=self._number)
        except Exception:  # noqa: BLE001 (the worker is replaced nevertheless)
            _log.exception("what a worker left was not looked through", worker=number)


def describe_exit(code: int) -> str:
    """Return how a process has ended, in words."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


async def _end(worker: WorkerProcess) -> None:
    worker.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await worker.has_ended.wait()
    except TimeoutError:
        _log.error("a worker does not end and is killed", worker=worker.number, pid=worker.pid)
        worker.kill()
        await worker.has_ended.wait()
