"""Where `pds car import` brings an account: what the person who waits for it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from yarl import URL

from pds.cli.car import import_target
from pds.cli.car.import_target import ImportTarget
from pds.cli.running_server import RunningServer
from pds.pending.import_turns import Import, Sender
from repo.syntax import Did
from tests.pds.api.imports import Repo
from tests.pds.api.records import NOTE
from tests.pds.conftest import Pds
from tests.pds.identities import register_foreign_did


async def _hold_every_turn(pds: Pds, stack: AsyncExitStack) -> None:
    for n in range(3):
        one: Import = stack.enter_context(pds.ctx.imports.begun(Did(f"did:plc:{n:024}")))
        await stack.enter_async_context(pds.ctx.imports.loading(one, Sender(f"{n}")))


async def test_the_place_in_the_queue_is_told(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_target, "_LOOK_S", 0.01)
    server = RunningServer(pds.ctx.settings)
    server._url = str(URL(pds.url).origin())
    owner = register_foreign_did(pds)
    car = Repo.of(owner.did, owner.key, {f"{NOTE}/a": {"$type": NOTE}}).car()
    told: asyncio.Queue[tuple[str, int, int]] = asyncio.Queue()

    async def chunks() -> AsyncIterator[bytes]:
        yield car

    async with AsyncExitStack() as stack:
        await _hold_every_turn(pds, stack)
        bringing = asyncio.create_task(
            ImportTarget(server).bring_account(
                chunks(),
                {"handle": "moved.test", "email": "moved@example.com"},
                lambda *place: told.put_nowait(place),
            )
        )
        async with asyncio.timeout(20):
            assert await told.get() == ("place in the queue", 1, 1)
    assert (await bringing)["did"] == owner.did
