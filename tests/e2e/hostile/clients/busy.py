"""Keeps connections busy with requests whose bodies never come, anew when they are lost.

    python -m tests.e2e.hostile.clients.busy HOST PORT CONNECTIONS ADDRESSES

The connections come from so many ADDRESSES in 127.0.0.0/8. Ends by itself after `_LIFE_S`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from tests.e2e.hostile.attack import ATTACKING

_LIFE_S = 120.0
_PAUSE_S = 0.2
_REQUEST = (
    b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
)


async def hold(host: str, port: int, connections: int, addresses: int) -> None:
    """Keep so many connections busy for as long as the server lets them be."""
    made = 0
    all_made = asyncio.Event()

    async def keep(address: str) -> None:
        nonlocal made
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port, local_addr=(address, 0))
                writer.write(_REQUEST)
                made += 1
                if made >= connections:
                    all_made.set()
                await reader.read()
                writer.close()
            await asyncio.sleep(_PAUSE_S)

    with suppress(TimeoutError):
        async with asyncio.timeout(_LIFE_S), asyncio.TaskGroup() as tasks:
            for number in range(connections):
                tasks.create_task(keep(f"127.0.4.{1 + number % addresses}"))
            await all_made.wait()
            print(ATTACKING, flush=True)  # noqa: T201 (the signal)


if __name__ == "__main__":
    asyncio.run(hold(sys.argv[1], *map(int, sys.argv[2:5])))
