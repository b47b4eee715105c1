"""What goes wrong while an account moves in, what the pages say, and how it goes on."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from identity.fetch import FetchDisconnected
from identity.plc import PlcError
from pds.accounts.handle_rules import check_handle
from pds.accounts.moves import Move, Moves, Step
from pds.accounts.quotas import Quota
from pds.lifecycle.migration import copying
from pds.lifecycle.migration.attending import look_after_moves
from pds.lifecycle.migration.beginning import Beginning
from pds.lifecycle.migration.copying import Copier
from pds.lifecycle.migration.moving import Moving
from pds.lifecycle.signup import Signup
from repo.cid import Cid
from repo.syntax import Did
from tests.pds.conftest import Account
from tests.pds.web.account.test_signing_in import sign_in
from tests.pds.web.browser import Browser, Page
from tests.pds.web.migrate.conftest import (
    NEW_PASSWORD,
    TwoServers,
    copied,
    create,
    location,
    move_of,
    settled,
    sign_in_at_old,
    step,
)

AWAY = "The other server does not answer."


@pytest.fixture
def browser(two: TwoServers) -> Browser:
    return Browser(two.new)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "RETRY_AFTER_S", (0.0,))


async def reach_code(two: TwoServers, browser: Browser, mover: Account) -> None:
    """Move as far as the last question."""
    await sign_in_at_old(browser, mover)
    await create(browser)
    await copied(browser, two.new, mover.did)
    await step(browser, "code")


async def move_now(two: TwoServers, browser: Browser) -> Page:
    return await step(browser, "identity", code=two.code, sure="true")


def has_moved(two: TwoServers, mover: Account) -> bool:
    accounts = [
        pds.ctx.accounts.get_account(mover.did, include_inactive=True) for pds in (two.old, two.new)
    ]
    return [account.active for account in accounts] == [False, True]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"password": "wrong"}, "does not accept this password"),
        ({"identifier": "nobody.test"}, "There is no such account"),
        ({"identifier": "not a handle"}, "There is no such account"),
    ],
)
async def test_who_does_not_sign_in_at_the_old_server_begins_nothing(
    two: TwoServers, browser: Browser, mover: Account, values: dict[str, str], told: str
) -> None:
    page = await sign_in_at_old(browser, mover, **values)
    assert (page.status, told in page.text) == (400, True)
    assert two.new.ctx.accounts.moves.find(mover.did) is None


async def test_a_second_factor_of_the_old_server_is_asked_for(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    db = two.old.ctx.accounts.db
    db.run("UPDATE account SET emailConfirmedAt = '2026-01-01' WHERE did = ?", (mover.did,))
    await two.old.ctx.second_factors.turn_on_mail(Did(mover.did))
    page = await sign_in_at_old(browser, mover)
    assert (page.status, "asks for a code" in page.text) == (400, True)
    form = page.form("/migrate/in")
    await settled(two.old)
    page = await browser.send(form, password=mover.password, code="AAAAA-AAAAA")
    assert (page.status, "asks for a code" in page.text) == (400, True)
    page = await browser.send(form, password=mover.password, code=two.code)
    assert location(page) == "/migrate/in/details"


async def test_the_old_server_may_be_away_at_every_step(
    two: TwoServers, browser: Browser, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = two.new.ctx.proxy_http
    request, opened, is_away = http.request, http.open, True

    async def ask(method: str, url: str, **more: Any) -> Any:
        if is_away:
            raise FetchDisconnected(url, "away")
        return await request(method, url, **more)

    async def open_(method: str, base: str, path: str, **more: Any) -> Any:
        if is_away:
            raise FetchDisconnected(base, "away")
        return await opened(method, base, path, **more)

    monkeypatch.setattr(http, "request", ask)
    monkeypatch.setattr(http, "open", open_)
    await two.publish(mover)
    assert AWAY in (await sign_in_at_old(browser, mover)).text
    is_away = False
    await sign_in_at_old(browser, mover)
    details = await browser.open("/migrate/in/details")
    is_away = True
    assert AWAY in (await browser.open("/migrate/in/details")).text
    page = await browser.send(details.form("/details"), password=NEW_PASSWORD)
    assert (page.status, AWAY in page.text) == (502, True)
    is_away = False
    await create(browser)
    is_away = True
    assert AWAY in (await copied(browser, two.new, mover.did)).text
    is_away = False
    await step(browser, "copy")
    assert "Everything is copied" in (await copied(browser, two.new, mover.did)).text
    is_away = True
    assert AWAY in (await step(browser, "code")).text
    is_away = False
    await step(browser, "code")
    is_away = True
    page = await move_now(two, browser)
    assert (page.status, AWAY in page.text) == (400, True)
    is_away = False
    await move_now(two, browser)
    assert has_moved(two, mover)


async def test_what_is_done_is_found_done_if_it_could_not_be_noted(
    two: TwoServers, browser: Browser, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step ends before it is noted, once: as with a process that is killed then."""
    real, killed = Moves.advance, set()

    class _Killed(BaseException):
        pass

    async def advance(
        moves: Moves, move: Move, before: Step, after: Step, *, worker: str = ""
    ) -> bool:
        if before not in killed:
            killed.add(before)
            raise _Killed
        return await real(moves, move, before, after, worker=worker)

    async def until_done(call: Any) -> None:
        for _ in range(4):
            with suppress(_Killed):
                await call()
                return

    monkeypatch.setattr(Moves, "advance", advance)
    await two.publish(mover)
    moving = Moving(two.new.ctx)
    did, url = await Beginning(moving.ctx).find_old_server(mover.did)
    await Beginning(moving.ctx).begin_in(
        did, url, password=mover.password, code="", device_id="dev"
    )
    handle = check_handle("mover.new.test", [".new.test"], did_known=True)
    signup = Signup(handle, "mover@example.com", NEW_PASSWORD, did=did)
    with pytest.raises(_Killed):
        await moving.create(move_of(two.new, did), signup)
    await moving.adopt(move_of(two.new, did))
    await until_done(lambda: Copier(Moving(two.new.ctx)).copy(did))
    assert move_of(two.new, did).step is Step.REVIEW
    await until_done(lambda: moving.send_code(move_of(two.new, did)))
    code = two.code
    await until_done(lambda: moving.point_did(move_of(two.new, did), code))
    await until_done(lambda: moving.finish(move_of(two.new, did)))
    assert move_of(two.new, did).step is Step.DONE
    assert killed >= {*Step} - {Step.DONE, Step.CANCEL}
    assert has_moved(two, mover)
    log = two.old.plc.log(did)
    assert len(log) == 2, "the DID was changed once"


async def test_files_that_the_old_server_has_lost_are_told_and_accepted(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    cids = await two.publish(mover)
    await two.old.ctx.blob_store.delete(mover.did, [Cid.parse(cids[0])])
    await sign_in_at_old(browser, mover)
    await create(browser)
    page = await copied(browser, two.new, mover.did)
    assert "1 file could not be copied" in page.text
    page = await browser.send(page.form("/code"))
    assert (page.status, "without the files that are missing" in page.text) == (400, True)
    assert two.mails == []
    await step(browser, "code", accept="true")
    await move_now(two, browser)
    assert has_moved(two, mover)


async def test_a_quota_that_is_too_small_is_told_and_can_be_raised(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await two.publish(mover)
    await sign_in_at_old(browser, mover)
    await create(browser)
    quotas = two.new.ctx.accounts.quotas
    await quotas.set(Did(mover.did), Quota(10))
    page = await copied(browser, two.new, mover.did)
    assert "needs more space than the new server gives it" in page.text
    await quotas.set(Did(mover.did), Quota(1_000_000))
    await step(browser, "copy")
    assert "Everything is copied" in (await copied(browser, two.new, mover.did)).text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"handle": "a.b.new.test"}, "handle"),
        ({"handle": "mover.test"}, "This domain does not lead to your account."),
        ({"password": "short"}, " characters."),
    ],
)
async def test_details_that_this_server_does_not_allow_are_told_at_their_field(
    two: TwoServers, browser: Browser, mover: Account, values: dict[str, str], told: str
) -> None:
    await sign_in_at_old(browser, mover)
    page = await browser.open("/migrate/in/details")
    if values.get("handle") == "mover.test":
        two.new.ctx.handle_resolver.resolve = _nobody  # type: ignore[method-assign]
    page = await browser.send(page.form("/details"), **{"password": NEW_PASSWORD, **values})
    assert (page.status, told in page.text) == (400, True)
    assert 'aria-invalid="true"' in page.reply.body.decode()
    assert not two.new.ctx.actor_store.exists(mover.did)


async def _nobody(*_: object, **_more: object) -> None:
    return None


async def test_a_wrong_or_old_code_changes_nothing_and_another_mail_helps(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await reach_code(two, browser, mover)
    page = await step(browser, "identity", code="AAAAA-AAAAA", sure="true")
    assert (page.status, "wrong or has expired" in page.text) == (400, True)
    page = await step(browser, "identity", code=two.code)
    assert (page.status, "Tick the box" in page.text) == (400, True)
    two.old.ctx.accounts.db.run("UPDATE email_token SET requestedAt = '2026-01-01T00:00:00.000Z'")
    page = await move_now(two, browser)
    assert (page.status, "wrong or has expired" in page.text) == (400, True)
    assert len(two.old.plc.log(Did(mover.did))) == 1
    await step(browser, "code")
    await move_now(two, browser)
    assert has_moved(two, mover)


async def test_an_operation_whose_answer_is_lost_counts(
    two: TwoServers, browser: Browser, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reach_code(two, browser, mover)
    send = two.new.ctx.plc.send

    async def lose_answer(*args: Any) -> None:
        await send(*args)
        raise PlcError(502, "lost")

    monkeypatch.setattr(two.new.ctx.plc, "send", lose_answer)
    await move_now(two, browser)
    assert has_moved(two, mover)


async def test_there_is_no_way_back_once_the_did_names_the_new_server(
    two: TwoServers, browser: Browser, mover: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reach_code(two, browser, mover)
    page = await browser.open("/migrate/move")
    move = move_of(two.new, mover.did)
    with monkeypatch.context() as patch:

        async def nothing(*_: object, **_more: object) -> bool:
            return True

        patch.setattr(Moves, "advance", nothing)
        await Moving(two.new.ctx).point_did(move, two.code)
    page = await browser.send(page.form("/cancel"))
    assert (page.status, "There is no way back." in page.text) == (400, True)
    await step(browser, "identity", code="any", sure="true")
    assert has_moved(two, mover)


async def test_what_is_published_in_between_is_copied_first(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await reach_code(two, browser, mover)
    await two.old.post_text(mover, "just now")
    page = await move_now(two, browser)
    assert (page.status, "Something was published" in page.text) == (400, True)
    assert "Everything is copied" in (await copied(browser, two.new, mover.did)).text
    await step(browser, "code")
    await move_now(two, browser)
    assert has_moved(two, mover)
    records = await two.new.get(
        "com.atproto.repo.listRecords", repo=mover.did, collection="app.bsky.feed.post"
    )
    assert [each["value"]["text"] for each in records.json["records"]] == ["just now"]


async def test_a_second_browser_goes_on_and_the_first_is_told(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await sign_in_at_old(browser, mover)
    await create(browser)
    page = await copied(browser, two.new, mover.did)
    other = Browser(two.new)
    assert "Sign in here" in (await sign_in_at_old(other, mover)).text
    account = Account(mover.did, mover.did, mover.email, NEW_PASSWORD, "", "")
    other = await sign_in(two.new, account, "/migrate/move")
    await step(other, "code")
    page = await browser.send(page.form("/code"))
    assert (page.status, "at another step now" in page.text) == (400, True)
    await move_now(two, other)
    assert has_moved(two, mover)


async def test_a_session_is_sealed_and_forgotten_after_a_day(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await reach_code(two, browser, mover)
    move = move_of(two.new, mover.did)
    assert move.session is not None
    assert b"eyJ" not in move.session
    db = two.new.ctx.accounts.db
    db.run("UPDATE holdfast_move SET sessionAt = sessionAt - 90000")
    moving = Moving(two.new.ctx)
    await look_after_moves(moving, Copier(moving))
    assert move_of(two.new, mover.did).session is None
    page = await browser.open("/migrate/move")
    assert "no longer signed in at the other server" in page.text
    await browser.send(page.form("/move/sign-in"), password=mover.password)
    await move_now(two, browser)
    assert has_moved(two, mover)


async def test_a_cancelled_move_leaves_nothing_here_and_can_be_begun_again(
    two: TwoServers, browser: Browser, mover: Account
) -> None:
    await two.publish(mover)
    await reach_code(two, browser, mover)
    assert location(await step(browser, "cancel")) == "/migrate"
    ctx = two.new.ctx
    assert ctx.accounts.find_account(mover.did, include_inactive=True) is None
    assert not ctx.actor_store.exists(mover.did)
    assert ctx.sequencer.log.last_state_of(Did(mover.did)) is None, "nobody was told anything"
    await reach_code(two, Browser(two.new), mover)
    assert move_of(two.new, mover.did).step is Step.CODE
