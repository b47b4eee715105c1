"""Moving an account out, on the pages."""

from __future__ import annotations

from pds.accounts.moves import Step
from tests.pds.conftest import Account
from tests.pds.web.account.test_signing_in import sign_in
from tests.pds.web.migrate.conftest import (
    TwoServers,
    begin_out,
    copied,
    location,
    move_of,
    step,
)


async def test_an_account_moves_out(two: TwoServers, mover: Account) -> None:
    cids = await two.publish(mover)
    browser = await sign_in(two.old, mover)
    assert location(await begin_out(two.new, browser)) == "/migrate/move"
    page = await copied(browser, two.old, mover.did)
    assert "Everything is copied" in page.text
    assert location(await step(browser, "code")) == "/migrate/move"
    assert location(await step(browser, "identity", code=two.code, sure="true")) == "/migrate/move"
    assert "Your account has moved" in (await browser.open("/migrate/move")).text

    await two.check_moved(mover, cids)
    move = move_of(two.old, mover.did)
    assert (move.step, move.session) == (Step.DONE, None)


async def test_an_account_stays_if_the_move_out_is_cancelled(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await begin_out(two.new, browser)
    await copied(browser, two.old, mover.did)
    assert location(await step(browser, "cancel")) == "/migrate"
    assert two.old.ctx.accounts.get_account(mover.did).active
    assert not two.new.ctx.accounts.get_account(mover.did, include_inactive=True).active
    assert two.old.ctx.accounts.moves.find(mover.did) is None


async def test_a_lost_answer_of_the_new_server_does_not_end_the_move(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await begin_out(two.new, browser)
    await two.old.ctx.accounts.moves.forget(move_of(two.old, mover.did))
    assert location(await begin_out(two.new, browser)) == "/migrate/move"


async def test_a_handle_that_the_new_server_refuses_is_told(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    page = await begin_out(two.new, browser, handle="no.such.example")
    assert page.status == 400
    assert "The other server refuses this." in page.text
    assert dict(page.form("/begin").fields)["email"] == mover.email
    assert two.old.ctx.accounts.moves.find(mover.did) is None
