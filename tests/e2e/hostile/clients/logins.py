"""Sends wrong logins all at once, and then waits for the answers, or hangs up and lets them be.

Usage: logins URL NUMBER IDENTIFIER ADDRESS [abandon]. IDENTIFIER and ADDRESS, which a proxy would
tell of, may hold `{n}`: the number of the login.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import urlsplit

from tests.e2e.hostile.attack import ATTACKING

_LIFE_S = 60.0


async def _connect(url: str, identifier: str, address: str) -> asyncio.StreamWriter:
    server = urlsplit(url)
    _, writer = await asyncio.open_connection(server.hostname, server.port)
    body = json.dumps({"identifier": identifier, "password": "wrong"}).encode()
    head = (
        "POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\n"
        f"Host: {server.netloc}\r\n"
        f"X-Forwarded-For: {address}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    return writer


async def _attack(url: str, number: int, identifier: str, address: str, *, abandon: bool) -> None:
    writers = [
        await _connect(url, identifier.format(n=n), address.format(n=n)) for n in range(number)
    ]
    if abandon:
        for writer in writers:
            writer.close()
    print(ATTACKING, flush=True)  # noqa: T201 (the test waits for it)
    await asyncio.sleep(_LIFE_S)


if __name__ == "__main__":
    _url, _number, _identifier, _address, *_rest = sys.argv[1:]
    asyncio.run(_attack(_url, int(_number), _identifier, _address, abandon=_rest == ["abandon"]))
