"""A server of several processes, all of which are in the event loop of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pds.context import AppContext, open_app_context, open_worker_context
from pds.peers.events import share_frames
from pds.peers.link import Link
from pds.peers.peers import Peers, owner_number
from pds.peers.service import PeerService
from pds.peers.sockets import private_directory, socket_of
from pds.recovery.joining import join
from pds.recovery.start import recover
from tests.pds.conftest import Pds, prepare_pds, serve_pds


@dataclass(slots=True, frozen=True)
class ManyProcesses:
    """A first process, and workers that answer, each on a port of its own."""

    first: AppContext
    workers: list[Pds]

    def owner_of(self, did: str) -> Pds:
        """The worker that writes an actor."""
        return self.workers[owner_number(did, len(self.workers))]

    def others_than(self, did: str) -> list[Pds]:
        """The workers that do not write an actor."""
        owner = self.owner_of(did)
        return [worker for worker in self.workers if worker is not owner]


async def start_processes(
    stack: AsyncExitStack, data: Path, environ: Mapping[str, str], *, workers: int = 2
) -> ManyProcesses:
    """Start a first process and `workers` on `data`; they stop with `stack`.

    Each has its context, and they know each other through their sockets alone, as processes do.
    """
    plc, settings = await prepare_pds(stack, data, environ)
    directory = stack.enter_context(private_directory())
    numbers = range(workers)

    def links(own: int | None = None) -> list[Link | None]:
        return [None if each == own else Link(socket_of(directory, each)) for each in numbers]

    async def listen(ctx: AppContext) -> None:
        stack.push_async_callback(ctx.close)
        service = PeerService(ctx)
        await service.listen(socket_of(directory, ctx.peers.number))
        stack.push_async_callback(service.close)

    first = await open_app_context(settings, recover, Peers(workers=links()), min_login_ms=0)
    await listen(first)
    share_frames(first)
    serving = []
    for number in numbers:
        peers = Peers(first=Link(socket_of(directory, None)), workers=links(number))
        ctx = await open_worker_context(settings, peers, min_login_ms=0)
        await listen(ctx)
        await join(ctx)
        serving.append(await serve_pds(stack, ctx, plc))
    return ManyProcesses(first, serving)


@pytest.fixture
async def many(tmp_path: Path, pds_environ: dict[str, str]) -> AsyncIterator[ManyProcesses]:
    """A first process and two workers, with an empty data directory."""
    async with AsyncExitStack() as stack:
        yield await start_processes(stack, tmp_path, pds_environ)
