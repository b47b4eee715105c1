"""Accounts that come back to a server that still has a copy, from before they moved away."""

from __future__ import annotations

import pytest

from pds.accounts.moves import Step
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.test_signing_in import sign_in
from tests.pds.web.browser import Browser, Page
from tests.pds.web.migrate.conftest import (
    NEW_PASSWORD,
    TwoServers,
    begin_out,
    copied,
    location,
    move_of,
    settled,
    sign_in_at_old,
    step,
)

POSTS = "app.bsky.feed.post"


@pytest.fixture
async def away(two: TwoServers, mover: Account) -> Account:
    """Somebody who has moved to the new server and posted there, and knows both passwords."""
    browser = await sign_in(two.old, mover)
    await begin_out(two.new, browser)
    await finish(two, two.old, browser, mover.did)
    reply = await two.new.post(
        "com.atproto.server.createSession", {"identifier": mover.did, "password": NEW_PASSWORD}
    )
    account = Account(
        *(mover.did, "mover.new.test", mover.email, NEW_PASSWORD),
        *(reply.json["accessJwt"], reply.json["refreshJwt"]),
    )
    two.new.ctx.mailer.on_mail = two.mails.append
    await two.new.post_text(account, "written elsewhere")
    blob = (await two.new.upload(account, b"a picture")).json["blob"]
    await two.new.create_record(account, "com.example.file", {"file": blob})
    return account


async def finish(two: TwoServers, pds: Pds, browser: Browser, did: str) -> Page:
    """Take the steps after the beginning, on the pages of `pds`."""
    assert "Everything is copied" in (await copied(browser, pds, did)).text
    assert location(await step(browser, "code")) == "/migrate/move"
    assert location(await step(browser, "identity", code=two.code, sure="true")) == "/migrate/move"
    return await browser.open("/migrate/move")


async def check_is_back(two: TwoServers, mover: Account) -> None:
    """Check that the account is at the old server again, with all that it has at the other."""
    back = two.old.ctx.accounts.get_account(mover.did)
    assert back.handle == "mover.test"
    assert not two.new.ctx.accounts.get_account(mover.did, include_inactive=True).active
    records = await two.old.get("com.atproto.repo.listRecords", repo=mover.did, collection=POSTS)
    assert [each["value"]["text"] for each in records.json["records"]] == ["written elsewhere"]
    (cid,) = (await two.old.get("com.atproto.sync.listBlobs", did=mover.did)).json["cids"]
    blob = await two.old.get("com.atproto.sync.getBlob", did=mover.did, cid=cid)
    assert (blob.status, blob.body) == (200, b"a picture")
    reply = await two.old.post(
        "com.atproto.server.createSession", {"identifier": mover.did, "password": mover.password}
    )
    assert (reply.status, reply.json["active"]) == (200, True)
    assert len(two.old.plc.log(back.did)) == 3


async def test_one_is_brought_back_by_the_server_that_has_the_copy(
    two: TwoServers, mover: Account, away: Account
) -> None:
    page = await sign_in_at_old(Browser(two.old), away)
    assert (page.status, "the password that it had here" in page.text) == (400, True)
    assert b'"/account/sign-in?next=/migrate/in"' in page.reply.body
    browser = await sign_in(two.old, mover)
    page = await browser.open("/migrate/in")
    assert dict(page.form("/in").fields)["identifier"] == mover.did
    assert location(await sign_in_at_old(browser, away)) == "/migrate/move"
    assert "active here again" in (await finish(two, two.old, browser, mover.did)).text
    await check_is_back(two, mover)
    assert (await two.old.post_text(mover))["uri"], "the session from before is valid again"


async def test_one_is_sent_back_by_the_server_that_it_leaves(
    two: TwoServers, mover: Account, away: Account
) -> None:
    browser = await sign_in(two.new, away)
    page = await begin_out(two.old, browser, password="another password")
    assert (page.status, "still has a copy" in page.text) == (400, True)
    page = await browser.send(page.form("/begin"), password=mover.password)
    assert location(page) == "/migrate/move"
    await finish(two, two.new, browser, mover.did)
    await check_is_back(two, mover)


async def test_the_copy_asks_for_its_second_factor(
    two: TwoServers, mover: Account, away: Account
) -> None:
    db = two.old.ctx.accounts.db
    db.run("UPDATE account SET emailConfirmedAt = '2026-01-01' WHERE did = ?", (mover.did,))
    await two.old.ctx.second_factors.turn_on_mail(away_did := move_of(two.old, mover.did).did)
    browser = await sign_in(two.new, away)
    page = await begin_out(two.old, browser, password=mover.password)
    assert (page.status, "asks for a code" in page.text) == (400, True)
    await settled(two.old)
    page = await browser.send(page.form("/begin"), password=mover.password, code=two.code)
    assert location(page) == "/migrate/move"
    assert move_of(two.new, away_did).step is Step.REPOSITORY


async def test_the_copy_is_kept_if_the_way_back_is_cancelled(
    two: TwoServers, mover: Account, away: Account
) -> None:
    browser = await sign_in(two.old, mover)
    await sign_in_at_old(browser, away)
    page = await copied(browser, two.old, mover.did)
    assert "The copy here stays deactivated" in page.text
    assert location(await step(browser, "cancel")) == "/migrate"
    assert not two.old.ctx.accounts.get_account(mover.did, include_inactive=True).active
    assert two.old.ctx.actor_store.exists(mover.did)
    assert two.new.ctx.accounts.get_account(mover.did).active
    assert location(await sign_in_at_old(browser, away)) == "/migrate/move"


async def test_nobody_but_its_owner_here_brings_an_account_back(
    two: TwoServers, away: Account
) -> None:
    """As somebody who has got hold of the account at the other server alone."""
    stranger = await two.old.create_account("stranger")
    browser = await sign_in(two.old, stranger)
    page = await sign_in_at_old(browser, away)
    assert (page.status, "the password that it had here" in page.text) == (400, True)
    assert move_of(two.old, away.did).step is Step.DONE


async def test_a_copy_that_is_in_use_is_not_replaced(
    two: TwoServers, mover: Account, away: Account
) -> None:
    await two.old.ctx.accounts.states.activate(move_of(two.old, mover.did).did)
    browser = await sign_in(two.old, mover)
    page = await sign_in_at_old(browser, away)
    assert (page.status, "Deactivate it first" in page.text) == (400, True)
