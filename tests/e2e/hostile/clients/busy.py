"""Keeps connections busy with requests whose bodies never come, anew when they are lost.

    python -m tests.e2e.hostile.clients.busy HOST PORT CONNECTIONS ADDRESSES

The connections come from so many ADDRESSES in 127.0.0.0/8. Ends by itself after `_LIFE_S`.
"""

from __future__ import annotations

import asyncio
import sys

from tests.e2e.hostile.clients.kept import keep

_LIFE_S = 120.0
_PAUSE_S = 0.2
_REQUEST = (
    b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
)


async def keep_busy(host: str, port: int, connections: int, addresses: int) -> None:
    """Keep so many connections busy, from so many addresses."""
    await keep(
        host,
        port,
        connections,
        request=_REQUEST,
        addresses=[f"127.0.4.{1 + number}" for number in range(addresses)],
        pause_s=_PAUSE_S,
        life_s=_LIFE_S,
    )


if __name__ == "__main__":
    asyncio.run(keep_busy(sys.argv[1], *map(int, sys.argv[2:5])))
