"""Guesses the administrator's password for some seconds, and prints the answers that it got.

Usage: admin_guessing URL ADDRESS SECONDS. The last line is a JSON object: how many guesses were
answered with which status.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Final

import aiohttp

from tests.e2e.hostile.attack import ATTACKING

_PATHS: Final = ("/xrpc/com.atproto.admin.getInviteCodes", "/_holdfast/storage")
_AT_ONCE: Final = 16


async def _guess(http: aiohttp.ClientSession, until: float, answers: Counter[int]) -> None:
    while time.monotonic() < until:
        for path in _PATHS:
            auth = aiohttp.BasicAuth("admin", f"wrong {answers.total()}")
            async with http.get(path, auth=auth) as response:
                answers[response.status] += 1


async def _attack(url: str, address: str, seconds: float) -> None:
    answers: Counter[int] = Counter()
    async with aiohttp.ClientSession(url, headers={"X-Forwarded-For": address}) as http:
        print(ATTACKING, flush=True)  # noqa: T201 (the test waits for it)
        until = time.monotonic() + seconds
        await asyncio.gather(*(_guess(http, until, answers) for _ in range(_AT_ONCE)))
    print(json.dumps(answers), flush=True)  # noqa: T201 (the test reads it)


if __name__ == "__main__":
    asyncio.run(_attack(sys.argv[1], sys.argv[2], float(sys.argv[3])))
