"""Running the read-only server: serve what was loaded before, and load what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from database.collector import without_collector
from pds.car.blob_directory import BlobDirectory
from pds.config import Settings
from pds.disk.data_directory import DataDirectoryLock, make_directories
from pds.monitoring.logs import Logs
from pds.monitoring.requests.lines import LOGGER
from pds.read_context import ReadContext, open_read_context
from pds.readonly.app import make_readonly_app
from pds.readonly.archive import Archive
from pds.readonly.catalog import Catalog, Verification
from pds.readonly.library import Counts, Library
from pds.readonly.progress import OnProgress
from pds.readonly.watching import watch
from pds.server.process import tune_garbage_collector
from pds.server.run import bind, run_until_stopped
from repo.syntax import Did, Handle

WATCH_S: Final = 2.0
_CATALOG: Final = "catalog.sqlite"
_LOADING: Final = "loading"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadonlyOptions:
    """The operator's options."""

    places: Sequence[str]
    blobs: Path | None
    verification: Verification
    handles: Mapping[Did, Handle]
    watch: bool
    processes: int


async def serve_readonly(
    settings: Settings,
    options: ReadonlyOptions,
    *,
    on_listening: Callable[[], None],
    on_progress: OnProgress,
    on_loaded: Callable[[Counts], None],
    logs: Logs | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises as `pds.server.run.serve` does.

    New and changed files are loaded while requests are answered; `on_loaded` is called once all
    are. The stores are a cache: files that a crash leaves are loaded again at the next start.
    """

    async def start(stack: AsyncExitStack, _lock: DataDirectoryLock) -> None:
        port = bind(stack, settings.bind_address, settings.service.port)
        make_directories(settings)
        with without_collector():
            ctx = await open_read_context(settings)
        stack.push_async_callback(ctx.close)
        archive, library = _open_archive(ctx, options, stack)
        await library.drop_unfinished()
        look = await library.look(again=True)
        if not look.changed and not look.counts.unchanged:
            _log.warning("there are no CAR files yet", places=list(options.places))

        async def load() -> None:
            on_loaded(await library.load(look, on_progress))
            if options.watch:
                await watch(library, every_s=WATCH_S)

        for work in (library.ask_again(), load()):
            stack.push_async_callback(_end, asyncio.create_task(work))
        # Lets the loading processes start while the application is built.
        await asyncio.sleep(0)
        request_log = None if logs is None else logs.quick(LOGGER)
        app = make_readonly_app(ctx, archive, request_log=request_log)
        await port.listen(stack, app)
        tune_garbage_collector()
        on_listening()

    await run_until_stopped(settings, start, logs=logs, cache_option="--data")


def _open_archive(
    ctx: ReadContext, options: ReadonlyOptions, stack: AsyncExitStack
) -> tuple[Archive, Library]:
    data = ctx.settings.data_directory
    catalog = Catalog.open(data / _CATALOG)
    stack.callback(catalog.close)
    loading = data / _LOADING
    loading.mkdir(exist_ok=True)
    for leftover in loading.iterdir():
        leftover.unlink()
    library = Library(
        ctx,
        catalog,
        places=options.places,
        directory=loading,
        verification=options.verification,
        handles=options.handles,
        processes=options.processes,
    )
    archive = Archive(catalog, BlobDirectory(options.blobs), waiting=lambda: library.waiting)
    return archive, library


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
