"""What is signed in, and what apps may do."""

from __future__ import annotations

import pytest

from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.test_signing_in import location, sign_in
from tests.pds.web.browser import Browser
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import authorize


async def test_a_browser_is_signed_out_from_another(pds: Pds, alice: Account) -> None:
    here, there = await sign_in(pds, alice), await sign_in(pds, alice)
    page = await here.open("/account/sessions")
    assert page.text.count("this browser") == 2
    form = next(form for form in page.forms if ("device", there.cookies["dev-id"]) in form.fields)
    await here.send(form)
    assert "sign-in" in location(await there.open("/account"))
    assert (await here.open("/account")).status == 200


async def test_nobody_signs_out_others(pds: Pds, alice: Account, bob: Account) -> None:
    alices, bobs = await sign_in(pds, alice), await sign_in(pds, bob)
    page = await alices.open("/account/sessions")
    await alices.send(page.form("/browser"), device=bobs.cookies["dev-id"])
    assert (await bobs.open("/account")).status == 200


async def test_everything_ends_at_once(pds: Pds, alice: Account) -> None:
    here, there = await sign_in(pds, alice), await sign_in(pds, alice)
    page = await here.open("/account/sessions")
    assert location(await here.send(page.form("/all"))) == "/account/sign-in"
    assert "sign-in" in location(await there.open("/account"))
    assert (await pds.get("com.atproto.server.getSession", alice.auth)).status == 400


async def test_an_app_is_signed_out(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    await app.redeem((await authorize(app, browser, alice, remember="true")).answer["code"])
    page = await browser.open("/account/sessions")
    await browser.send(page.form("/app"))
    assert "That app is signed out." in (await browser.open("/account/sessions")).text
    assert (await app.call("GET", "com.atproto.server.getSession")).status == 401


async def test_what_an_app_was_allowed_is_taken_back(pds: Pds, alice: Account) -> None:
    app, browser = App(pds), Browser(pds)
    await app.redeem((await authorize(app, browser, alice, remember="true")).answer["code"])
    # As an app has it that is published; those on the own device are asked each time.
    client_id = "https://app.example/client-metadata.json"
    pds.ctx.accounts.db.run("UPDATE token SET clientId = ?", (client_id,))
    assert pds.ctx.oauth is not None
    scopes = frozenset(("atproto", "transition:generic", "include:com.example.set", "odd"))
    await pds.ctx.oauth.consents.remember(Did(alice.did), client_id, scopes)
    page = await browser.open("/account/apps")
    assert "app.example/client-metadata.json" in page.text
    assert "Publish, change and delete anything in your name" in page.text
    await browser.send(page.form("/revoke"))
    page = await browser.open("/account/apps")
    assert "can do nothing any more" in page.text
    assert "No app has asked yet." in page.text
    assert pds.ctx.accounts.db.value("SELECT count(*) FROM token") == 0


async def test_a_session_by_a_password_is_ended_alone(pds: Pds, alice: Account) -> None:
    browser = await sign_in(pds, alice)
    body = {"identifier": alice.handle, "password": alice.password}
    other = (await pds.post("com.atproto.server.createSession", body)).json
    page = await browser.open("/account/sessions")
    forms = [form for form in page.forms if form.action.endswith("/password")]
    assert len(forms) == 2
    await browser.send(forms[0])
    await browser.send(forms[0], session="unknown")
    page = await browser.open("/account/sessions")
    assert len([form for form in page.forms if form.action.endswith("/password")]) == 1
    alive = [
        await pds.post(
            "com.atproto.server.refreshSession", None, {"Authorization": f"Bearer {jwt}"}
        )
        for jwt in (alice.refresh_jwt, other["refreshJwt"])
    ]
    assert sorted(reply.status for reply in alive) == [200, 400]


async def test_a_client_that_has_asked_for_thousands_of_scopes_is_shown_briefly(
    pds: Pds, alice: Account
) -> None:
    browser = await sign_in(pds, alice)
    assert pds.ctx.oauth is not None
    consents, client_id = pds.ctx.oauth.consents, "https://app.example/client-metadata.json"
    scopes = [f"repo:com.example.kind{number}" for number in range(2_000)]
    await consents.remember(Did(alice.did), client_id, frozenset(scopes))
    page = await browser.open("/account/apps")
    assert page.reply.body.count(b"<li>Create, change") == 25
    assert "…" in page.text
    more = frozenset(f"blob:image/kind{number}" for number in range(3_001))
    await consents.remember(Did(alice.did), client_id, more)
    assert consents.find(Did(alice.did), client_id) == more


async def test_who_has_no_second_factor_learns_that_one_will_be_asked_for(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await sign_in(pds, alice)
    monkeypatch.setattr(pds.ctx.second_factors, "required", True)
    text = (await browser.open("/account")).reply.body.decode()
    assert "This server asks everybody for a second factor." in text
    assert text.count('href="/account/factors"') == 2
    assert text.count('href="/migrate"') == 1


async def test_browsers_have_names_that_people_know(pds: Pds, alice: Account) -> None:
    here, there = await sign_in(pds, alice), await sign_in(pds, alice)
    agent = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
    which = (agent, there.cookies["dev-id"])
    pds.ctx.accounts.db.run("UPDATE device SET userAgent = ? WHERE id = ?", which)
    assert "Firefox on Linux" in (await here.open("/account/sessions")).text
