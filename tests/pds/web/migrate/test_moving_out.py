"""Moving an account out, on the pages."""

from __future__ import annotations

from pds.accounts.moves import Step
from tests.pds.conftest import Account
from tests.pds.web.account.test_signing_in import sign_in
from tests.pds.web.browser import Browser, Page
from tests.pds.web.migrate.conftest import (
    NEW_PASSWORD,
    TwoServers,
    copied,
    location,
    move_of,
    sign_in_at_old,
    step,
)


async def begin(two: TwoServers, browser: Browser, **values: str) -> Page:
    page = await browser.open("/migrate/out")
    page = await browser.send(page.form("/out"), server=two.new.public_url)
    return await browser.send(page.form("/begin"), password=NEW_PASSWORD, **values)


async def test_an_account_moves_out(two: TwoServers, mover: Account) -> None:
    cids = await two.publish(mover)
    browser = await sign_in(two.old, mover)
    assert location(await begin(two, browser)) == "/migrate/move"
    page = await copied(browser, two.old, mover.did)
    assert "Everything is copied" in page.text
    assert location(await step(browser, "code")) == "/migrate/move"
    assert location(await step(browser, "identity", code=two.code, sure="true")) == "/migrate/move"
    assert "Your account has moved" in (await browser.open("/migrate/move")).text

    await two.check_moved(mover, cids)
    move = move_of(two.old, mover.did)
    assert (move.step, move.session) == (Step.DONE, None)


async def test_who_wants_to_come_back_is_told_of_the_copy_that_is_left(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await begin(two, browser)
    await copied(browser, two.old, mover.did)
    await step(browser, "code")
    await step(browser, "identity", code=two.code, sure="true")
    moved = Account(mover.did, mover.handle, mover.email, NEW_PASSWORD, "", "")
    page = await sign_in_at_old(Browser(two.old), moved)
    assert (page.status, "delete the copy first" in page.text) == (400, True)


async def test_an_account_stays_if_the_move_out_is_cancelled(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await begin(two, browser)
    await copied(browser, two.old, mover.did)
    assert location(await step(browser, "cancel")) == "/migrate"
    assert two.old.ctx.accounts.get_account(mover.did).active
    assert not two.new.ctx.accounts.get_account(mover.did, include_inactive=True).active
    assert two.old.ctx.accounts.moves.find(mover.did) is None


async def test_a_lost_answer_of_the_new_server_does_not_end_the_move(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await begin(two, browser)
    await two.old.ctx.accounts.moves.forget(move_of(two.old, mover.did))
    assert location(await begin(two, browser)) == "/migrate/move"


async def test_a_handle_that_the_new_server_refuses_is_told(
    two: TwoServers, mover: Account
) -> None:
    browser = await sign_in(two.old, mover)
    page = await begin(two, browser, handle="no.such.example")
    assert page.status == 400
    assert "The other server refuses this." in page.text
    assert dict(page.form("/begin").fields)["email"] == mover.email
    assert two.old.ctx.accounts.moves.find(mover.did) is None
