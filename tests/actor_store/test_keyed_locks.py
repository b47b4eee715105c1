"""Locks by key: one for each, and none left over."""

from __future__ import annotations

import asyncio

from actor_store.keyed_locks import KeyedLocks


async def test_one_key_is_held_by_one_task_at_a_time_and_another_key_is_free() -> None:
    locks = KeyedLocks()
    held: list[str] = []

    async def hold() -> None:
        async with locks["a"]:
            held.append("second")

    async with locks["a"]:
        waiting = asyncio.ensure_future(hold())
        await asyncio.sleep(0)
        async with locks["b"]:
            held.append("first")
    await waiting
    assert held == ["first", "second"]


async def test_no_lock_is_kept_that_nobody_holds_or_awaits() -> None:
    locks = KeyedLocks()
    async with locks["a"], locks["b"]:
        assert len(locks) == 2
    assert len(locks) == 0
