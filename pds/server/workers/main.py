"""The life of a worker: it answers requests and the calls of the other processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import structlog
import uvloop

from database.memory import memory_bytes, use_memory_sparingly
from pds.context import AppContext, open_worker_context
from pds.disk.data_directory import DataDirectoryLock
from pds.monitoring.logs import Logs, configure_logs
from pds.monitoring.requests.lines import LOGGER
from pds.peers.beats import go_on_beating, leave
from pds.peers.link import Link
from pds.peers.peers import Peers
from pds.peers.service import PeerService
from pds.peers.sockets import socket_of
from pds.recovery.joining import join
from pds.server.app import make_app
from pds.server.failed_sync import tell_first_of_failed_sync
from pds.server.listening import serve_shared
from pds.server.process import prompt_threads, raise_file_limit, tune_garbage_collector
from pds.server.workers.spec import WorkerSpec

FAILED: Final = 1
"""The exit status of a worker that cannot start, or breaks down."""
ORPHANED: Final = 70
"""The exit code of a worker without a first process."""

_log = structlog.get_logger(__name__)


def run_worker(spec: WorkerSpec, *, lock: int, listening: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM, or until the first process has gone: without the log, nothing works.

    `lock` is the open lock of the data directory, `listening` has the sockets that clients connect
    to. Ends with `FAILED` if it cannot start; a line in the log says why.
    """
    held = DataDirectoryLock.inherited(lock)
    # Ctrl-C reaches every process of a terminal; the first one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging = spec.settings.logging
    logs = configure_logs(
        level=logging.level,
        enabled=logging.enabled,
        systems=logging.systems,
        destination=logging.destination,
    )
    structlog.contextvars.bind_contextvars(worker=spec.number)
    raise_file_limit()
    use_memory_sparingly(memory_bytes() // spec.workers)
    try:
        with prompt_threads():
            uvloop.run(_serve(spec, logs, listening))
    except Exception:  # noqa: BLE001 (the first process is told by the exit status)
        _log.exception("the worker has failed")
        sys.exit(FAILED)
    finally:
        held.release()
        logs.flush()


async def _serve(spec: WorkerSpec, logs: Logs, listening: Sequence[socket.socket]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        peers = _peers(spec, partial(_end_if_orphaned, stop, logs))
        ctx = await open_worker_context(spec.settings, peers)
        ctx.administration.examinations.environ = spec.environ
        stack.push_async_callback(ctx.close)
        tell_first_of_failed_sync(ctx)
        service = PeerService(ctx)
        await service.listen(spec.socket)
        stack.push_async_callback(service.close)
        await join(ctx)
        serving = asyncio.Event()
        beating = asyncio.create_task(_beat(ctx, spec.number, serving))
        stack.callback(beating.cancel)
        # After the last request: others may still need what only this worker does.
        stack.push_async_callback(leave, ctx, spec.number)
        more_routes = () if spec.more_routes is None else spec.more_routes(ctx)
        app = make_app(
            ctx, more_routes=more_routes, request_log=logs.quick(LOGGER, worker=spec.number)
        )
        await serve_shared(stack, app, listening)
        tune_garbage_collector()
        serving.set()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((beating, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            _end_if_orphaned(stop, logs)


async def _beat(ctx: AppContext, worker: int, serving: asyncio.Event) -> None:
    """Show signs of life as soon as requests are answered, and until the last has been."""
    await serving.wait()
    await go_on_beating(ctx, worker)


def _peers(spec: WorkerSpec, on_lost_first: partial[None]) -> Peers:
    links = [Link(socket_of(spec.directory, number)) for number in range(spec.workers)]
    return Peers(
        first=Link(socket_of(spec.directory, None), on_lost=on_lost_first),
        workers=[None if number == spec.number else link for number, link in enumerate(links)],
    )


def _end_if_orphaned(stop: asyncio.Event, logs: Logs) -> None:
    if stop.is_set():
        return
    _log.error("the first process has gone")
    with suppress(OSError, ValueError):
        logs.flush()
    # At once: another server may be about to recover the files.
    os._exit(ORPHANED)
