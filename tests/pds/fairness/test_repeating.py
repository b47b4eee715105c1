from __future__ import annotations

import asyncio

from pds.fairness.repeating import repeated


async def test_it_looks_until_the_end_of_the_block() -> None:
    looks, thrice = 0, asyncio.Event()

    def look() -> bool:
        nonlocal looks
        looks += 1
        if looks == 3:
            thrice.set()
        return True

    with repeated(look, every_s=0.001):
        await thrice.wait()
    seen = looks
    await asyncio.sleep(0.01)
    assert looks == seen


async def test_it_looks_no_more_once_it_has_seen_enough() -> None:
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return False

    with repeated(look, every_s=0.001):
        await asyncio.sleep(0.02)
    assert looks == 1
