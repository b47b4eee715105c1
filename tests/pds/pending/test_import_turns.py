"""Imports take turns: nobody waits for those of another account for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from pds.fairness.presence import ClientLeft
from pds.fairness.turns import TooBusy
from pds.pending.import_turns import LARGE_BYTES, Import, Imports, ImportUnderWay, Sender, Stage
from repo.syntax import Did


def did(n: int) -> Did:
    return Did(f"did:plc:{n:024}")


def begin(stack: AsyncExitStack, imports: Imports, n: int, size_bytes: int = 1) -> Import:
    """An import whose body has come in."""
    one = stack.enter_context(imports.begun(did(n)))
    one.size_bytes = size_bytes
    return one


async def load(imports: Imports, one: Import, done: asyncio.Event, holder: str) -> None:
    async with imports.loading(one, Sender(holder)):
        await done.wait()


async def start(
    imports: Imports, one: Import, done: asyncio.Event, holder: str
) -> asyncio.Task[None]:
    """A task that loads, as far as it gets."""
    task = asyncio.create_task(load(imports, one, done, holder))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_a_small_import_does_not_wait_for_a_large_one() -> None:
    imports, done = Imports(), asyncio.Event()
    async with AsyncExitStack() as stack:
        large = [begin(stack, imports, n, LARGE_BYTES + 1) for n in range(3)]
        small = begin(stack, imports, 10)
        tasks = [await start(imports, one, done, f"host {one.did}") for one in large]
        assert [one.stage for one in large] == [Stage.LOADING, Stage.WAITING, Stage.WAITING]
        tasks.append(await start(imports, small, done, "mine"))
        assert small.stage is Stage.LOADING
        assert [one["state"] for one in imports.to_json()] == [
            *("loading", "waiting, number 1 of 2", "waiting, number 2 of 2", "loading")
        ]
        done.set()
        await asyncio.gather(*tasks)
    assert imports.to_json() == []


async def test_who_sends_many_leaves_a_turn_to_others() -> None:
    imports, done, mine_done = Imports(), asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:
        flood = [begin(stack, imports, n) for n in range(5)]
        tasks = [await start(imports, one, done, "stranger") for one in flood]
        assert [one.stage for one in flood].count(Stage.LOADING) == 2
        mine = begin(stack, imports, 10)
        mine_done.set()
        await load(imports, mine, mine_done, "me")
        done.set()
        await asyncio.gather(*tasks)


async def test_the_queue_is_bounded_for_each_sender() -> None:
    imports, done = Imports(), asyncio.Event()
    async with AsyncExitStack() as stack:
        flood = [begin(stack, imports, n) for n in range(11)]
        tasks = [await start(imports, one, done, "stranger") for one in flood]
        done.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [result for result in results if result is not None]
    assert len(refused) == 1
    assert isinstance(refused[0], TooBusy)
    assert refused[0].retry_after_s == 60


async def test_a_second_import_of_an_account_is_told_how_far_the_first_has_come() -> None:
    imports, done = Imports(), asyncio.Event()
    async with AsyncExitStack() as stack:
        for n in range(3):
            one = begin(stack, imports, n)
            stack.push_async_callback(asyncio.wait_for, await start(imports, one, done, f"{n}"), 5)
        last = begin(stack, imports, 3)
        with (
            pytest.raises(ImportUnderWay, match=r"is under way \(receiving\)"),
            imports.begun(did(3)),
        ):
            pass
        waiting = await start(imports, last, done, "last")
        with pytest.raises(ImportUnderWay) as caught, imports.begun(did(3)):
            pass
        assert "(waiting, number 1 of 1)" in str(caught.value)
        done.set()
        await waiting


async def test_who_leaves_waits_no_longer() -> None:
    imports, done = Imports(), asyncio.Event()

    @contextmanager
    def left() -> Iterator[None]:
        raise ClientLeft
        yield

    async with AsyncExitStack() as stack:
        one = begin(stack, imports, 1)
        with pytest.raises(ClientLeft):
            async with imports.loading(one, Sender("me", left)):
                pass
        other = begin(stack, imports, 2)
        done.set()
        await load(imports, other, done, "me")
