"""A graceful stop of an HTTP server: requests under way are answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, cast

from pds.server.connections import Connection, TimedRunner

GRACE_S: Final = 8.0
"""How long requests under way may take. Containers are killed 10 seconds after the signal by
default, and the databases have to be closed before that."""

_POLL_S: Final = 0.02


async def stop_serving(runner: TimedRunner) -> None:
    """Refuse connections, tell subscribers, let requests end for `GRACE_S`, then cut the rest.

    `AppRunner.cleanup` alone drops the part of a body that arrives after it was called.
    """
    for site in tuple(runner.sites):
        await site.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_S):
            await runner.shutdown()
            await _until_answered(runner)
    await runner.cleanup()


async def _until_answered(runner: TimedRunner) -> None:
    """Close every connection as soon as it has no answer outstanding."""
    while runner.server is not None:
        # This also lets requests that have just arrived begin.
        await asyncio.sleep(_POLL_S)
        connections = cast("list[Connection]", runner.server.connections)
        for connection in connections:
            if not _body_is_arriving(connection):
                # The request under way, if there is one, is the last of this connection.
                connection.close()
        if not any(connection.current_request for connection in connections):
            return


def _body_is_arriving(connection: Connection) -> bool:
    request = connection.current_request
    return request is not None and not request.content.is_eof()
