"""A graceful stop of an HTTP server: requests under way are answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, cast

from pds.server.connections import Connection, TimedRunner

GRACE_S: Final = 8.0
"""How long requests under way may take. Containers are killed 10 seconds after the signal by
default, and the databases have to be closed before that."""
LAST_S: Final = 0.5
"""How long an unused connection is kept for a last request, which may be on its way already."""

_POLL_S: Final = 0.02


async def stop_serving(runner: TimedRunner) -> None:
    """Refuse connections, tell subscribers, let requests end for `GRACE_S`, then cut the rest.

    The next answer on each connection is its last, and says so: a client that hears of the end
    only by its connection's cannot tell whether its request was carried out. `AppRunner.cleanup`
    alone drops the part of a body that arrives after it was called.
    """
    runner.last_answers.have_begun = True
    for site in tuple(runner.sites):
        await site.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await runner.shutdown()
            await _until_closed(runner)
    await runner.cleanup()


async def _until_closed(runner: TimedRunner) -> None:
    """Close connections as they fall idle, until none is left."""
    began_s = asyncio.get_running_loop().time()
    while runner.server is not None:
        # This also lets requests that have just arrived begin.
        await asyncio.sleep(_POLL_S)
        connections = cast("list[Connection]", runner.server.connections)
        if not connections:
            return
        kept_s = asyncio.get_running_loop().time() - began_s
        for connection in connections:
            unused_s = connection.unused_s if connection.has_asked else kept_s
            if connection.is_idle and unused_s >= LAST_S:
                connection.force_close()
