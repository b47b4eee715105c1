from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp import web

from pds.fairness import presence
from pds.fairness.presence import ClientLeft, while_present


class Transport:
    def __init__(self) -> None:
        self.gone = False

    def is_closing(self) -> bool:
        return self.gone


@pytest.fixture
def transport() -> Transport:
    return Transport()


@pytest.fixture
def request_(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> web.BaseRequest:
    monkeypatch.setattr(presence, "LOOK_S", 0.005)
    return cast("web.BaseRequest", SimpleNamespace(transport=transport))


async def test_work_ends_when_its_client_leaves(
    request_: web.BaseRequest, transport: Transport
) -> None:
    transport.gone = True
    with pytest.raises(ClientLeft), while_present(request_):
        await asyncio.Event().wait()
    await asyncio.sleep(0)  # Nothing of the cancellation is left over.


async def test_work_of_a_client_that_stays_is_left_alone(
    request_: web.BaseRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def look(_: web.BaseRequest) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(presence, "has_left", look)
    async with asyncio.timeout(10):
        with while_present(request_):
            while looks < 3:  # noqa: ASYNC110 (what is looked for is that nothing happens)
                await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_of_the_task_itself_goes_on(request_: web.BaseRequest) -> None:
    async def work() -> None:
        with while_present(request_):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_work_is_told_although_the_client_has_left(
    request_: web.BaseRequest, transport: Transport
) -> None:
    async def fail_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("of the work")

    transport.gone = True
    with pytest.raises(ValueError, match="of the work"), while_present(request_):
        await fail_at_the_end()
    await asyncio.sleep(0)
