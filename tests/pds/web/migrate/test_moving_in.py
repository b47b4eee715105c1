"""Moving an account in, on the pages."""

from __future__ import annotations

from pds.accounts.moves import Step
from tests.pds.conftest import Account
from tests.pds.web.browser import Browser
from tests.pds.web.migrate.conftest import (
    TwoServers,
    copied,
    create,
    location,
    move_of,
    sign_in_at_old,
    step,
)


async def test_an_account_moves_in(two: TwoServers, mover: Account) -> None:
    cids = await two.publish(mover)
    browser = Browser(two.new)
    page = await sign_in_at_old(browser, mover)
    assert location(page) == "/migrate/in/details"
    details = await browser.open("/migrate/in/details")
    assert dict(details.form("/details").fields)["handle"] == "mover.new.test"
    assert location(await create(browser)) == "/migrate/move"
    page = await copied(browser, two.new, mover.did)
    assert "Everything is copied" in page.text
    assert location(await step(browser, "code")) == "/migrate/move"
    assert location(await step(browser, "identity", code=two.code, sure="true")) == "/migrate/move"
    assert "Your account has moved" in (await browser.open("/migrate/move")).text

    await two.check_moved(mover, cids)
    move = move_of(two.new, mover.did)
    assert (move.step, move.session) == (Step.DONE, None)
    session = await two.new.post(
        "com.atproto.server.createSession",
        {"identifier": mover.did, "password": "new-password"},
    )
    preferences = await two.new.get(
        "app.bsky.actor.getPreferences", {"Authorization": f"Bearer {session.json['accessJwt']}"}
    )
    assert len(preferences.json["preferences"]) == 1


async def test_whoever_has_planted_the_cookies_of_a_browser_does_not_go_on_with_the_move(
    two: TwoServers, mover: Account
) -> None:
    thief = Browser(two.new, **{"User-Agent": "Thief"})
    await thief.open("/migrate/in")
    browser = Browser(two.new)
    browser.cookies = dict(thief.cookies)
    await browser.open("/migrate/in")
    thief.cookies = dict(browser.cookies)
    assert location(await sign_in_at_old(browser, mover)) == "/migrate/in/details"
    assert location(await thief.open("/migrate/in/details")) == "/migrate"
