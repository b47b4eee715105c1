"""Moves that are changed by somebody else, or by other tools, in the meantime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import pytest

from identity.did_document import PDS_TYPE
from identity.plc_data import PlcService
from pds.accounts.moves import Move, Moves, Step
from pds.lifecycle.migration.beginning import Beginning, Newcomer
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.moving import Moving
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.web.migrate.conftest import TwoServers, mover, two

__all__ = ("mover", "two")

WANTED = Newcomer("mover.new.test", "mover@example.com", "new-password", None)


def found(moves: Moves, did: str) -> Move:
    move = moves.find(did)
    assert move is not None
    return move


async def begun_out(two: TwoServers, mover: Account) -> tuple[Moving, Move]:
    moving = Moving(two.old.ctx)
    await Beginning(moving.ctx).begin_out(
        Did(mover.did), two.new.public_url, WANTED, device_id="dev"
    )
    return moving, found(two.old.ctx.accounts.moves, mover.did)


async def begun_in(two: TwoServers, mover: Account) -> tuple[Moving, Move]:
    moving = Moving(two.new.ctx)
    did, url = await Beginning(moving.ctx).find_old_server(mover.did)
    await Beginning(moving.ctx).begin_in(
        did, url, password=mover.password, code="", device_id="dev"
    )
    return moving, found(two.new.ctx.accounts.moves, mover.did)


async def another_begun(moves: Moves, move: Move) -> Move:
    """Begin a move to another server after this one was given up."""
    await moves.forget(move)
    await moves.begin(
        move.did, is_in=False, device_id="", url="https://b.example", step=move.step, session=b"B"
    )
    return found(moves, move.did)


async def test_a_copy_to_one_server_is_not_taken_for_one_to_another(
    two: TwoServers, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move is cancelled, and another begun, while the repository is on its way."""
    _, move = await begun_out(two, mover)
    moves, copier = two.old.ctx.accounts.moves, Copier(Moving(two.old.ctx))
    copy = copier._copy_repository
    later: list[Move] = []

    async def interrupted(*args: object) -> None:
        await copy(*args)  # type: ignore[arg-type]
        later.append(await another_begun(moves, move))

    monkeypatch.setattr(copier, "_copy_repository", interrupted)
    await copier.copy(move.did)
    assert moves.find(move.did) == later[0]
    assert later[0].step is Step.REPOSITORY


async def test_the_session_of_one_server_is_neither_sent_to_nor_kept_for_another(
    two: TwoServers, mover: Account
) -> None:
    moving, move = await begun_out(two, mover)
    moves = two.old.ctx.accounts.moves
    assert moving.other(move).is_signed_in
    later = await another_begun(moves, move)
    assert not moving.other(move).is_signed_in
    await moves.set_session(move, b"A")
    await moves.set_problem(move, Problem.AWAY)
    assert moves.find(move.did) == later


async def test_a_move_that_is_under_way_is_not_replaced(two: TwoServers, mover: Account) -> None:
    moving, move = await begun_out(two, mover)
    with pytest.raises(MoveProblem) as caught:
        await Beginning(moving.ctx).begin_out(
            Did(mover.did), two.new.public_url, WANTED, device_id="dev"
        )
    assert caught.value.kind is Problem.STEP
    assert two.old.ctx.accounts.moves.find(move.did) == move


async def test_the_copy_is_not_deleted_while_the_operation_is_on_its_way(
    two: TwoServers, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    moving, move = await begun_in(two, mover)
    moves = two.new.ctx.accounts.moves
    await moves.advance(move, Step.DETAILS, Step.CODE)
    move = found(moves, move.did)
    refused: list[Problem] = []

    async def no_loss(_move: Move) -> None:
        for change in (moving.cancel, moving.copy_again, partial(moving.point_did, code="c")):
            with pytest.raises(MoveProblem) as caught:
                await change(move)
            refused.append(caught.value.kind)
        raise MoveProblem(Problem.LOST)

    monkeypatch.setattr(moving, "_check_loss", no_loss)
    with pytest.raises(MoveProblem) as caught:
        await moving.point_did(move, "code")
    assert caught.value.kind is Problem.LOST
    assert refused == [Problem.STEP] * 3
    assert found(moves, move.did).step is Step.CODE
    # It can be cancelled afterwards.
    await moving.cancel(move)
    assert moves.find(move.did) is None


async def test_a_move_is_not_undone_once_the_did_names_the_new_server(
    two: TwoServers, mover: Account
) -> None:
    """As by another tool, at whatever step the pages are."""
    moving, move = await begun_in(two, mover)
    moves = two.new.ctx.accounts.moves
    await moves.advance(move, Step.DETAILS, Step.REVIEW)
    move = found(moves, move.did)
    plc, services = two.old.ctx.plc, {"atproto_pds": PlcService(PDS_TYPE, two.new.public_url)}
    operation = await plc.sign_update(
        move.did, lambda data: replace(data, services=services), key=two.old.ctx.rotation_key
    )
    await plc.send(move.did, operation)
    with pytest.raises(MoveProblem) as caught:
        await moving.cancel(move)
    assert caught.value.kind is Problem.TOO_LATE
    assert moves.find(move.did) == move


async def test_nothing_is_copied_over_an_account_that_is_in_use(pds: Pds, alice: Account) -> None:
    """It has come here by other means, after a move was begun on the pages."""
    moves, moving = pds.ctx.accounts.moves, Moving(pds.ctx)
    did = Did(alice.did)
    for step, left in ((Step.REPOSITORY, Step.REPOSITORY), (Step.PREFERENCES, Step.PREFERENCES)):
        await moves.begin(did, is_in=True, device_id="", url=pds.public_url, step=step, session=b"")
        new = moving.new(found(moves, did))
        with pytest.raises(MoveProblem) as caught:
            await (
                new.import_repo(_nothing()) if step is Step.REPOSITORY else new.put_preferences([])
            )
        assert caught.value.kind is Problem.TOO_LATE
        assert found(moves, did).step is left
        await moves.forget(found(moves, did))
    await moves.begin(
        did, is_in=True, device_id="", url=pds.public_url, step=Step.DETAILS, session=b""
    )
    await moving.adopt(found(moves, did))
    assert moves.find(did) is None


@pytest.mark.parametrize(
    "address", ["https://a.example/x", "a.example?x=", "https://a.example/#x", "me@a.example"]
)
async def test_the_address_of_a_server_has_nothing_but_its_name(pds: Pds, address: str) -> None:
    """Else the person who types it chooses what is asked of other servers."""
    with pytest.raises(MoveProblem) as caught:
        await Beginning(pds.ctx).look_at(address)
    assert caught.value.kind is Problem.UNKNOWN


async def _nothing() -> AsyncIterator[bytes]:
    yield b""
