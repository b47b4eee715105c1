"""Sessions at the other servers of moves: they are ended there when they are no longer needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from pds.accounts.moves import Step
from pds.lifecycle.migration import other_sessions
from pds.lifecycle.migration.attending import SESSION_S, look_after_moves
from pds.lifecycle.migration.beginning import Beginning
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.errors import MoveProblem
from pds.lifecycle.migration.moving import Moving
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.lifecycle.migration.test_hostile_old_servers import FakeServer, hostile
from tests.pds.lifecycle.migration.test_two_at_once import begun_in, begun_out, found
from tests.pds.web.migrate.conftest import TwoServers, mover, settled, two

__all__ = ("hostile", "mover", "two")


def sessions_at(pds: Pds, account: Account) -> int:
    """How many sessions an account has."""
    sql = "SELECT count(*) FROM refresh_token WHERE did = ?"
    return int(pds.ctx.accounts.db.value(sql, (account.did,)))


async def grow_old(pds: Pds, moving: Moving) -> None:
    """Let a day pass, and look after the moves."""
    pds.ctx.accounts.db.run(
        "UPDATE holdfast_move SET sessionAt = sessionAt - ?1, changedAt = changedAt - ?1",
        (SESSION_S + 1,),
    )
    await look_after_moves(moving, Copier(moving))
    await settled(pds)


@pytest.mark.parametrize("step", [Step.DETAILS, Step.CODE])
async def test_one_that_is_dropped_after_a_day_is_ended(
    two: TwoServers, mover: Account, step: Step
) -> None:
    before = sessions_at(two.old, mover)
    moving, move = await begun_in(two, mover)
    moves = two.new.ctx.accounts.moves
    await moves.advance(move, Step.DETAILS, step)
    assert sessions_at(two.old, mover) == before + 1
    await grow_old(two.new, moving)
    assert sessions_at(two.old, mover) == before
    left = moves.find(move.did)
    assert left is None if step is Step.DETAILS else left is not None and left.session is None


async def test_one_at_the_new_server_is_ended_too(two: TwoServers, mover: Account) -> None:
    moving, _ = await begun_out(two, mover)
    assert sessions_at(two.new, mover) == 1
    await grow_old(two.old, moving)
    assert sessions_at(two.new, mover) == 0


async def test_one_of_a_move_that_is_done_is_ended_although_the_process_was_killed_before(
    two: TwoServers, mover: Account
) -> None:
    before = sessions_at(two.old, mover)
    moving, move = await begun_in(two, mover)
    await two.new.ctx.accounts.moves.advance(move, Step.DETAILS, Step.DONE)
    await look_after_moves(moving, Copier(moving))
    await settled(two.new)
    assert sessions_at(two.old, mover) == before
    assert found(two.new.ctx.accounts.moves, move.did).step is Step.DONE


async def test_one_that_is_replaced_is_ended(two: TwoServers, mover: Account) -> None:
    before = sessions_at(two.old, mover)
    await begun_in(two, mover)
    moving, move = await begun_in(two, mover)
    await moving.reconnect(move, password=mover.password, code="")
    await settled(two.new)
    assert sessions_at(two.old, mover) == before + 1
    assert moving.other(move).is_signed_in
    await moving.other(move).query("com.atproto.server.getSession")


async def test_one_of_a_move_that_cannot_be_begun_is_ended(two: TwoServers, mover: Account) -> None:
    before = sessions_at(two.old, mover)
    moving, move = await begun_in(two, mover)
    await two.new.ctx.accounts.moves.advance(move, Step.DETAILS, Step.CODE)
    with pytest.raises(MoveProblem):
        await Beginning(moving.ctx).begin_in(
            Did(mover.did), two.old.public_url, password=mover.password, code="", device_id="dev"
        )
    await settled(two.new)
    assert sessions_at(two.old, mover) == before + 1


async def test_a_server_that_hangs_holds_nothing_up(
    pds: Pds, hostile: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_sessions, "_ENDING_S", 0.05)
    asked = asyncio.Event()

    async def hang(_request: web.Request) -> Any:
        asked.set()
        await asyncio.Event().wait()

    hostile.slow["deleteSession"] = hang
    moving = Moving(pds.ctx)
    did, url = await Beginning(moving.ctx).find_old_server(hostile.owner.did)
    await Beginning(moving.ctx).begin_in(did, url, password="p", code="", device_id="dev")
    async with asyncio.timeout(5):
        await grow_old(pds, moving)
    assert asked.is_set()
    assert pds.ctx.accounts.moves.find(did) is None
