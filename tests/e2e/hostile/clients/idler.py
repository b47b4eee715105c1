"""Holds connections open that ask for nothing, and opens others for those that are closed.

    python -m tests.e2e.hostile.clients.idler HOST PORT CONNECTIONS

Ends by itself after `_LIFE_S`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from tests.e2e.hostile.attack import ATTACKING

_LIFE_S = 300.0
_PAUSE_S = 0.01


async def idle(host: str, port: int, connections: int) -> None:
    """Keep so many connections for as long as the server lets them be."""
    made = 0
    all_made = asyncio.Event()

    async def hold() -> None:
        nonlocal made
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port)
                made += 1
                if made >= connections:
                    all_made.set()
                await reader.read()
                writer.close()
            await asyncio.sleep(_PAUSE_S)

    with suppress(TimeoutError):
        async with asyncio.timeout(_LIFE_S), asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(hold())
            await all_made.wait()
            print(ATTACKING, flush=True)  # noqa: T201 (the signal)


if __name__ == "__main__":
    asyncio.run(idle(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
