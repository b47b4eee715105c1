"""Writes records of a megabyte of nested lists, and lists them on several connections.

    python -m tests.e2e.hostile.clients.large_records URL DID TOKEN CONNECTIONS

Ends by itself after `_LIFE_S`.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

import aiohttp

from tests.e2e.hostile.attack import ATTACKING
from tests.hostile_values import hostile_json

_LIFE_S = 120.0
_COLLECTION = "com.example.hostile"
_RECORDS = 3


async def attack(url: str, did: str, token: str, connections: int) -> None:
    """List the records again and again, and write more of them."""
    body = b'{"repo":"%b","collection":"%b","record":{"x":%b}}' % (
        did.encode(),
        _COLLECTION.encode(),
        hostile_json("deep"),
    )
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async with aiohttp.ClientSession(url) as http:

        async def write() -> int:
            path = "/xrpc/com.atproto.repo.createRecord"
            async with http.post(path, data=body, headers=headers) as response:
                await response.read()
                return response.status

        async def list_records() -> None:
            path = f"/xrpc/com.atproto.repo.listRecords?repo={did}&collection={_COLLECTION}"
            async with http.get(path) as response:
                await response.read()

        async def repeat_listing() -> None:
            while True:
                await list_records()

        async def repeat_writing() -> None:
            while True:
                await write()

        for _ in range(_RECORDS):
            status = await write()
            if status != 200:
                raise RuntimeError(f"the record is refused: {status}")
        print(ATTACKING, flush=True)  # noqa: T201 (the signal)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LIFE_S), asyncio.TaskGroup() as tasks:
                tasks.create_task(repeat_writing())
                for _ in range(connections):
                    tasks.create_task(repeat_listing())


if __name__ == "__main__":
    asyncio.run(attack(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
