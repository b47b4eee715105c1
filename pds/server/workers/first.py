"""What the first process of a server with workers does besides its own work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pds.peers.events import share_frames
from pds.peers.link import Link
from pds.peers.peers import Peers
from pds.peers.service import PeerService
from pds.peers.sockets import private_directory, socket_of
from pds.server.workers.spec import WorkerSpec
from pds.server.workers.workers import Workers

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.disk.data_directory import DataDirectoryLock
    from pds.server.listening import BoundPort


class FirstProcess:
    """The first process: it has the event log, and starts the workers."""

    def __init__(self, stack: AsyncExitStack, workers: int) -> None:
        """Prepare for so many workers; `stack` cleans up after they have ended."""
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
        environ: Mapping[str, str],
    ) -> None:
        """Let workers serve `port` until `stack` closes.

        SIGHUP replaces them one by one. Raises `WorkersFailed` and `ListenError`.
        """
        settings = ctx.settings

        def spec_of(number: int) -> WorkerSpec:
            return WorkerSpec(
                number=number,
                workers=self._number,
                settings=settings,
                environ=dict(environ),
                directory=self._directory,
                listening=port.sockets,
                lock=lock,
            )

        service = PeerService(ctx)
        await service.listen(socket_of(self._directory, None))
        stack.push_async_callback(service.close)
        share_frames(ctx)
        port.open()
        workers = Workers(
            ctx,
            spec_of,
            number=self._number,
            hang_s=settings.service.worker_timeout_ms / 1000,
        )
        stack.push_async_callback(workers.stop)
        await workers.start()
        loop = asyncio.get_running_loop()
        replacing: set[asyncio.Task[None]] = set()

        def replace() -> None:
            task = loop.create_task(workers.replace_all())
            replacing.add(task)
            task.add_done_callback(replacing.discard)

        loop.add_signal_handler(signal.SIGHUP, replace)
