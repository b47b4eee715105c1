"""What one client or one domain has of the requests to hosts that strangers name."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from identity.handles import HandleUnresolvable
from pds.fairness.stranger_share import FETCHES_EACH, StrangerShare, fetch_turns
from pds.fairness.turns import TooBusy, Turns
from pds.monitoring.requests.asker import askers
from repo.syntax import Handle
from tests.pds.conftest import Account, Pds

RESOLVE = "com.atproto.identity.resolveHandle"


async def take(stack: AsyncExitStack, share: StrangerShare, domain: str) -> None:
    await stack.enter_async_context(share.turn(domain))


def impatient(turns: Turns) -> Turns:
    turns._max_waiting = 0
    return turns


async def test_one_domain_cannot_take_every_turn() -> None:
    asking = iter(f"192.0.2.{number}" for number in range(100))
    share = StrangerShare(impatient(fetch_turns()), lambda: (next(asking),))
    async with AsyncExitStack() as stack:
        for _ in range(FETCHES_EACH):
            await take(stack, share, "silent.example")
        with pytest.raises(TooBusy):
            await take(stack, share, "silent.example")
        await take(stack, share, "example.com")


async def test_one_client_cannot_take_every_turn() -> None:
    client = "192.0.2.1"
    share = StrangerShare(impatient(fetch_turns()), lambda: (client,))
    async with AsyncExitStack() as stack:
        for number in range(FETCHES_EACH):
            await take(stack, share, f"n{number}.example")
        with pytest.raises(TooBusy):
            await take(stack, share, "another.example")
        client = "192.0.2.2"
        await take(stack, share, "another.example")
        # A host that is asked is not the client who has its address.
        await take(stack, share, "192.0.2.1")


async def test_a_client_is_its_address_and_its_account(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    async def resolve(_: Handle) -> None:
        asked.append(askers(pds.ctx.client_addresses))

    monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
    behind = {"X-Forwarded-For": "192.0.2.7"}
    await pds.get(RESOLVE, handle="a.example.com")
    await pds.get(RESOLVE, behind, handle="a.example.com")
    assert asked == [("127.0.0.1",), ("192.0.2.7",)]
    assert askers(pds.ctx.client_addresses) == ()


async def test_a_client_without_a_turn_is_told_to_come_again(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = StrangerShare(impatient(fetch_turns()), lambda: ())
    async with AsyncExitStack() as stack:
        for _ in range(FETCHES_EACH):
            await take(stack, share, "silent.example")

        async def resolve(_: Handle) -> None:
            async with share.turn("silent.example"):
                raise AssertionError

        monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
        reply = await pds.get(RESOLVE, handle="a.silent.example")
        assert reply.error == (503, "NotEnoughResources")
        assert reply.headers["Retry-After"] == "2"


async def test_a_client_that_leaves_ends_the_look_up(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, ended = asyncio.Event(), asyncio.Event()

    async def resolve(handle: Handle) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise HandleUnresolvable(handle, "never")

    monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
    asking = asyncio.create_task(pds.get(RESOLVE, handle="a.example.com"))
    await reached.wait()
    asking.cancel()
    assert await ended.wait()
