"""Has a server look up names whose name servers say nothing: `URL RATE SECONDS`.

Each is new: half come as handles to resolve, half as the issuers of service tokens.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

import aiohttp

from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey
from tests.e2e.hostile.attack import ATTACKING

_KEY = K256PrivateKey.from_bytes(b"\x05" * 32)
_UPLOAD = "com.atproto.repo.uploadBlob"


async def _attack(url: str, rate: float, seconds: float) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as http, asyncio.TaskGroup() as asks:
        ends = time.monotonic() + seconds
        for number in itertools.count():
            host = f"n{number}-{time.time_ns()}.silent.example"
            asks.create_task(_resolve(http, host) if number % 2 else _upload(http, host))
            if number == min(int(rate * 2), 100):
                print(ATTACKING, flush=True)  # noqa: T201 (what the test waits for)
            await asyncio.sleep(1 / rate)
            if time.monotonic() > ends:
                break


async def _resolve(http: aiohttp.ClientSession, host: str) -> None:
    async with http.get(f"/xrpc/com.atproto.identity.resolveHandle?handle={host}"):
        pass


async def _upload(http: aiohttp.ClientSession, host: str) -> None:
    token = create_service_jwt(
        _KEY, iss=f"did:web:{host}", aud="did:web:localhost", now_s=int(time.time()), lxm=_UPLOAD
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}
    async with http.post(f"/xrpc/{_UPLOAD}", headers=headers, data=b"x"):
        pass


if __name__ == "__main__":
    asyncio.run(_attack(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
