"""The server process: lock the data directory, listen, and stop in an orderly way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import structlog
from aiohttp import web

from database.collector import without_collector
from database.engine import ENGINE_REMEDY, find_engine_fault, running_version
from database.errors import DatabaseUnsynced
from database.memory import memory_bytes, use_memory_sparingly
from pds.config import Settings
from pds.context import AppContext, open_app_context
from pds.disk.data_directory import (
    DataDirectoryLock,
    NeededDirectory,
    make_directories,
    needed_directories,
)
from pds.disk.other_server import describe, refuse_other_server
from pds.disk.reserve import DiskReserve
from pds.lifecycle.migration.attending import attend_moves
from pds.lifecycle.migration.moving import Moving
from pds.monitoring.logs import Logs
from pds.monitoring.requests.lines import LOGGER
from pds.recovery.start import recover
from pds.replication.restore.marker import refuse_unfinished
from pds.server.app import make_app
from pds.server.failed_sync import end_after_failed_sync
from pds.server.handover import Offer, Predecessor
from pds.server.listening import BoundPort
from pds.server.ports import Ports
from pds.server.process import (
    prompt_threads,
    raise_file_limit,
    require_files,
    tune_garbage_collector,
)
from pds.server.systemd import READY, STOPPING, notify
from pds.server.workers.first import FirstProcess
from pds.server.workers.fork_server import ForkServer
from repo.lexicon import default_lexicons

_log = structlog.get_logger(__name__)


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[AppContext], None],
    start_beside: Callable[[AsyncExitStack], Awaitable[None]] | None = None,
    more_routes: Callable[[AppContext], Iterable[web.RouteDef]] | None = None,
    logs: Logs | None = None,
    environ: Mapping[str, str] | None = None,
    fork_server: ForkServer | None = None,
    take_over: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT; then finish requests, tell subscribers, close databases.

    Raises `TooFewFiles`, `DataDirectoryError`, `OtherRestore` for a directory that is not wholly
    restored, `ListenError`, `WorkersFailed`, `TakeOverFailed`, or the `DatabaseError` of a file
    that cannot be opened. `on_ready` is called once requests are answered. `start_beside` is
    awaited as soon as the data directory is ours; what it puts on the stack outlives the server.
    `more_routes` are served beside the server's own; workers make their own, so it is a function
    of a module. `logs` in a file are reopened on SIGHUP, which would end the process otherwise.
    `environ` has the variables that the settings come from. Workers are forked from `fork_server`.
    With `take_over`, a server that runs on the data directory hands over its ports and ends.
    """
    fault = find_engine_fault(running_version())
    if fault is not None:
        _log.warning("SQLite is too old", what=fault, remedy=ENGINE_REMEDY)

    ports: Ports | None = None

    async def take_place(stack: AsyncExitStack) -> DataDirectoryLock | None:
        nonlocal ports
        predecessor = Predecessor.find(settings.data_directory) if take_over else None
        if predecessor is None:
            return None
        lock, ports = await _replace(stack, settings, predecessor)
        return lock

    async def start(stack: AsyncExitStack, lock: DataDirectoryLock) -> None:
        refuse_unfinished(settings.data_directory)
        served = ports or Ports.take(stack, settings, {})
        reserve = DiskReserve(settings.data_directory, settings.did_cache_db_path)
        reserve.release_if_full()
        _warn_of_new(settings, make_directories(settings))
        if start_beside is not None:
            await start_beside(stack)
        first = FirstProcess(stack, settings.workers, fork_server) if settings.workers > 1 else None
        # Loading the schemas makes no garbage, and takes half the time without the collector.
        with without_collector():
            ctx = await open_app_context(settings, recover, None if first is None else first.peers)
        stack.push_async_callback(ctx.close)
        ctx.administration.examinations.environ = environ
        end_after_failed_sync(ctx, partial(_stop, stack))
        if ctx.bucket is not None:
            # It logs what keeps S3 from working, which is no reason not to start.
            await ctx.health.failures()
        if first is None:
            app = make_app(
                ctx,
                more_routes=() if more_routes is None else more_routes(ctx),
                request_log=None if logs is None else logs.quick(LOGGER),
            )
            await served.http.listen(stack, app)
        else:
            await first.start_workers(
                stack,
                ctx,
                served.http,
                lock,
                environ=environ or {},
                more_routes=more_routes,
                reopen_logs=_reopen(logs),
            )
        if served.metrics is not None:
            await _listen_for_metrics(stack, served.metrics, ctx)
        tune_garbage_collector()
        _begin_background_work(stack, ctx, reserve)
        offer = Offer(settings.data_directory, served.sockets)
        stack.push_async_callback(offer.close)
        on_ready(ctx)

    await run_until_stopped(settings, start, logs=logs, take_place=take_place)


async def _replace(
    stack: AsyncExitStack, settings: Settings, predecessor: Predecessor
) -> tuple[DataDirectoryLock, Ports]:
    """Let a running server end, and return its lock and the ports of this one."""
    stack.callback(predecessor.close)
    # Whatever takes time, or may be wrong, comes before the other server is let go.
    refuse_unfinished(settings.data_directory)
    ports = Ports.take(stack, settings, predecessor.ports)
    with without_collector():
        default_lexicons()
    lock = await predecessor.end(settings.data_directory)
    predecessor.close()
    return lock, ports


def _begin_background_work(stack: AsyncExitStack, ctx: AppContext, reserve: DiskReserve) -> None:
    """Start what one process of a server does beside requests, until `stack` closes."""
    ctx.upload_sweep.start()
    if ctx.retention is not None:
        ctx.retention.start()
    ctx.administration.sampler.start()
    if ctx.oauth is not None:
        ctx.oauth.sweep.start()
        stack.push_async_callback(_end, asyncio.create_task(attend_moves(Moving(ctx))))
    stack.push_async_callback(_end, asyncio.create_task(reserve.keep_from_now_on()))


async def run_until_stopped(
    settings: Settings,
    start: Callable[[AsyncExitStack, DataDirectoryLock], Awaitable[None]],
    *,
    logs: Logs | None = None,
    cache_option: str | None = None,
    take_place: Callable[[AsyncExitStack], Awaitable[DataDirectoryLock | None]] | None = None,
) -> None:
    """Lock the data directory, `start`, and wait for SIGTERM or SIGINT; then close the stack.

    `start` binds its ports before it writes anything. `logs` are as for `serve`. `cache_option` is
    the option that names a data directory which is only a cache: creating one is no sign of a disk
    that is not mounted. `take_place` may lock the directory, as soon as another server lets it go.
    Raises `TooFewFiles`, `DataDirectoryError` and what `take_place` and `start` raise.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if logs is not None and logs.are_in_file:
        loop.add_signal_handler(signal.SIGHUP, logs.reopen)
    raise_file_limit()
    require_files(settings.workers)
    use_memory_sparingly(memory_bytes())
    async with AsyncExitStack() as stack:
        stack.enter_context(prompt_threads())
        option = cache_option or "PDS_DATA_DIRECTORY"
        lock = None if take_place is None else await take_place(stack)
        lock = lock or DataDirectoryLock.acquire(settings.data_directory, option=option)
        stack.callback(lock.release)
        other = await asyncio.to_thread(refuse_other_server, settings)
        if other is not None:
            _log.warning("another server uses the data directory", what=describe(other, settings))
        if lock.made_directory and cache_option is None:
            _warn_of_new(settings, needed_directories(settings)[:1])
        await start(stack, lock)
        notify(READY)
        await stop.wait()
        notify(STOPPING)
        _log.info("stopping")
    _log.info("stopped")


def _stop(stack: AsyncExitStack, failure: DatabaseUnsynced) -> None:
    """Stop as at SIGTERM, and raise the error in the end."""

    def fail() -> None:
        raise failure

    stack.callback(fail)
    signal.raise_signal(signal.SIGTERM)


def _reopen(logs: Logs | None) -> Callable[[], None]:
    return logs.reopen if logs is not None and logs.are_in_file else lambda: None


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait((task,))


def _warn_of_new(settings: Settings, made: Sequence[NeededDirectory]) -> None:
    if settings.service.dev_mode:
        return  # Where servers come and go.
    for directory in made:
        if directory.kind in ("data", "blob"):
            _log.warning(
                "created a missing directory",
                setting=directory.setting,
                directory=str(directory.path),
                remedy="None for a new server. Otherwise stop it, and mount the disk or correct "
                f"{directory.setting}.",
            )


def bind(stack: AsyncExitStack, host: str, port: int) -> BoundPort:
    """Take a port until `stack` closes. Raises `ListenError`."""
    bound = BoundPort.bind(host, port)
    stack.callback(bound.close)
    return bound


async def _listen_for_metrics(stack: AsyncExitStack, port: BoundPort, ctx: AppContext) -> None:
    from pds.metrics.exposition import make_metrics_app  # Loads the client library, too.

    await port.listen(stack, make_metrics_app(ctx))
