"""What the first process of a server with workers does besides its own work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pds.peers.events import share_frames
from pds.peers.link import Link
from pds.peers.peers import Peers
from pds.peers.service import PeerService
from pds.peers.sockets import private_directory, socket_of
from pds.server.workers.fork_server import ForkServer
from pds.server.workers.spec import MoreRoutes, WorkerSpec
from pds.server.workers.workers import Workers

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.disk.data_directory import DataDirectoryLock
    from pds.server.listening import BoundPort


class FirstProcess:
    """The first process: it has the event log, and starts the workers."""

    def __init__(self, stack: AsyncExitStack, workers: int, fork_server: ForkServer | None) -> None:
        """Prepare for so many workers; `stack` cleans up after they have ended."""
        self._fork_server = fork_server or ForkServer()
        stack.callback(self._fork_server.close)
        self._number = workers
        self._directory: Path = stack.enter_context(private_directory())
        self.peers = Peers(
            workers=[Link(socket_of(self._directory, number)) for number in range(workers)]
        )

    async def start_workers(
        self,
        stack: AsyncExitStack,
        ctx: AppContext,
        port: BoundPort,
        lock: DataDirectoryLock,
        *,
        environ: Mapping[str, str],
        more_routes: MoreRoutes | None,
        reopen_logs: Callable[[], None],
    ) -> None:
        """Let workers serve `port` until `stack` closes.

        SIGHUP calls `reopen_logs` and replaces them one by one. Raises `WorkersFailed` and
        `ListenError`.
        """
        settings = ctx.settings

        def fork(number: int) -> Awaitable[int]:
            spec = WorkerSpec(
                number=number,
                workers=self._number,
                settings=settings,
                environ=dict(environ),
                directory=self._directory,
                more_routes=more_routes,
            )
            files = [lock.fileno(), *(each.fileno() for each in port.sockets)]
            return self._fork_server.start(spec, files)

        service = PeerService(ctx)
        await service.listen(socket_of(self._directory, None))
        stack.push_async_callback(service.close)
        share_frames(ctx)
        port.open()
        workers = Workers(
            ctx,
            fork,
            self._fork_server.exit_code,
            number=self._number,
            hang_s=settings.service.worker_timeout_ms / 1000,
        )
        stack.push_async_callback(workers.stop)
        await workers.start()
        # Only now can relays that hear of an event reach the server.
        ctx.event_log.on_append(ctx.crawlers.notify_soon)
        loop = asyncio.get_running_loop()
        replacing: set[asyncio.Task[None]] = set()

        def replace() -> None:
            reopen_logs()
            task = loop.create_task(workers.replace_all())
            replacing.add(task)
            task.add_done_callback(replacing.discard)

        loop.add_signal_handler(signal.SIGHUP, replace)
