"""The administrator's pages in the hands of people who mean ill."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pyotp
import pytest

from pds.administration.second_factor import WRONG_A_DAY
from pds.mail.mailer import MailOutcome
from pds.mail.message import Mail
from pds.rate_limits.admin_guesses import WRONG
from pds.web.admin.desk import COOKIE
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import ADMIN_PASSWORD, Account, Pds, start_pds
from tests.pds.web.admin.desk import Administrator
from tests.pds.web.browser import NAVIGATION, Browser

HOSTILE = "<script>alert(1)</script>\"'{{7*7}}%(x)s%s\u202e"
FROM = "X-Forwarded-For"


async def test_without_a_session_every_page_leads_to_the_sign_in(pds: Pds, alice: Account) -> None:
    paths = {
        route.resource.canonical.replace("{did}", alice.did)
        for route in pds.app.router.routes()
        if route.method == "GET"
        and route.resource is not None
        and route.resource.canonical.startswith("/admin")
    }
    paths -= {f"/admin/{name}" for name in ("sign-in", "now", "admin.css", "live.js")}
    assert len(paths) > 10
    for path in paths:
        page = await Browser(pds).open(path)
        assert (page.status, page.reply.headers["Location"]) == (303, "/admin/sign-in"), path


async def test_without_a_session_no_form_does_anything(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds)
    form = (await admin.open(f"/admin/accounts/{alice.did}")).form("/takedown")
    del admin.cookies[COOKIE]
    page = await admin.send(form, reason="x")
    assert (page.status, page.reply.headers["Location"]) == (303, "/admin/sign-in")
    assert pds.ctx.accounts.find_account(alice.did) is not None


async def test_the_cookie_is_of_these_pages_and_of_no_script(pds: Pds) -> None:
    admin = Administrator(pds)
    form = (await admin.open("/admin/sign-in")).form("/sign-in")
    page = await admin.send(form, password=ADMIN_PASSWORD)
    (cookie,) = (
        each for each in page.reply.headers.getall("Set-Cookie") if each.startswith(COOKIE)
    )
    assert {"HttpOnly", "Path=/admin", "SameSite=Strict", "Max-Age=43200"} <= {
        each.strip() for each in cookie.split(";")
    }
    assert admin.cookies[COOKIE] not in repr(
        pds.ctx.accounts.db.all("SELECT * FROM holdfast_admin_session")
    )


async def test_a_session_that_somebody_has_planted_is_not_signed_in(pds: Pds) -> None:
    """Signing in makes a new session: one that was there before does not become the person's."""
    admin = Administrator(pds)
    admin.cookies[COOKIE] = "a" * 43
    await admin.sign_in(ADMIN_PASSWORD)
    assert admin.cookies[COOKIE] != "a" * 43


async def test_a_stolen_cookie_ends_with_the_password(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {})
        cookies = (await Administrator.signed_in(pds)).cookies
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {})
        thief = Administrator(pds)
        thief.cookies = dict(cookies)
        assert (await thief.open("/admin")).status == 200
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, {"PDS_ADMIN_PASSWORD": "another"})
        thief = Administrator(pds)
        thief.cookies = dict(cookies)
        assert (await thief.open("/admin")).status == 303


async def test_signing_out_ends_the_session_of_a_copied_cookie(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    thief = Administrator(pds)
    thief.cookies = dict(admin.cookies)
    page = await admin.open("/admin")
    assert "You are signed out." in (await admin.enter(page, "/sign-out")).text
    assert (await thief.open("/admin")).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.com"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.example.com"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {},
    ],
)
async def test_forms_of_other_sites_do_nothing(
    pds: Pds, alice: Account, headers: dict[str, str]
) -> None:
    admin = await Administrator.signed_in(pds)
    form = (await admin.open(f"/admin/accounts/{alice.did}")).form("/takedown")
    cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    reply = await pds.request(
        "POST", form.action, headers={**headers, "Cookie": cookie}, data=dict(form.fields)
    )
    assert reply.status == 403
    assert pds.ctx.accounts.find_account(alice.did) is not None


async def test_a_form_without_the_token_of_this_browser_does_nothing(
    pds: Pds, alice: Account
) -> None:
    admin, other = await Administrator.signed_in(pds), Browser(pds)
    form = (await admin.open(f"/admin/accounts/{alice.did}")).form("/takedown")
    await other.open("/admin/sign-in")
    other.cookies[COOKIE] = admin.cookies[COOKIE]
    assert (await other.send(form, reason="")).status == 403
    assert (await admin.send(form, csrf="", reason="")).status == 403
    assert pds.ctx.accounts.find_account(alice.did) is not None


async def test_no_page_is_framed_or_runs_what_is_not_of_this_server(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    pages = [await admin.open(path) for path in ("/admin", "/admin/accounts", "/admin/log")]
    for page in (*pages, await Browser(pds).open("/admin/sign-in")):
        headers = page.reply.headers
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert "Access-Control-Allow-Origin" not in headers
    framed = await pds.request("GET", "/admin", headers={**NAVIGATION, "Sec-Fetch-Dest": "iframe"})
    assert framed.status == 400


async def test_guessing_in_parallel_gets_no_more_tries(pds: Pds) -> None:
    guesser = Administrator(pds, **{FROM: "203.0.113.9"})
    form = (await guesser.open("/admin/sign-in")).form("/sign-in")
    pages = await asyncio.gather(
        *(guesser.send(form, password=f"guess {n}") for n in range(WRONG.points + 20))
    )
    assert [page.status for page in pages].count(400) == WRONG.points
    assert [page.status for page in pages].count(429) == 20
    # Even the right one tells nothing now; and the API counts the same guesses.
    assert (await guesser.send(form, password=ADMIN_PASSWORD)).status == 429
    headers = {**pds.admin, FROM: "203.0.113.9"}
    assert (await pds.post("com.atproto.admin.sendEmail", {}, headers)).status == 429
    # Elsewhere the administrator is not locked out by it.
    admin = await Administrator.signed_in(pds, **{FROM: "198.51.100.7"})
    assert (await admin.open("/admin")).status == 200


async def test_texts_of_strangers_are_shown_and_not_obeyed(pds: Pds, alice: Account) -> None:
    admin = await Administrator.signed_in(pds, **{"User-Agent": HOSTILE[:-1] + "x" * 4000})
    db = pds.ctx.accounts.db
    db.run("UPDATE actor SET handle = ?, takedownRef = ?", (HOSTILE, HOSTILE))
    db.run("UPDATE account SET email = ?", (HOSTILE * 100 + "@x",))
    administration = pds.ctx.administration
    await administration.mails.note(
        MailOutcome(Mail(f"{HOSTILE}@{HOSTILE}", HOSTILE, "", ""), "failed", HOSTILE)
    )
    await administration.crawls.note(f"https://{HOSTILE}", HOSTILE)
    await administration.actions.note(HOSTILE, HOSTILE, HOSTILE, address=HOSTILE, via="api")
    for path in (
        *("/accounts", "/mails", "/crawlers", "/log", "/security", "/invites", "/blobs?look=1"),
        *(f"/accounts/{alice.did}", f"/accounts/{alice.did}/blobs", f"/accounts?q={HOSTILE}"),
    ):
        page = await admin.open(f"/admin{path}")
        assert page.status == 200, path
        body = page.reply.body
        assert b"<script>alert" not in body, path
        assert len(body) < 60_000, path


@pytest.mark.parametrize(
    "path",
    [
        "/admin/accounts?q=%00",
        "/admin/accounts?q=%ff%fe",
        "/admin/accounts?after=%00%00&state=active",
        "/admin/accounts?state=<b>",
        "/admin/accounts?q=" + "a" * 5000,
        "/admin/invites?before=-1",
        "/admin/log?before=1e99",
        "/admin/blobs?look=1&after=x",
        "/admin/mails?state=x",
    ],
)
async def test_odd_addresses_are_answered(pds: Pds, path: str) -> None:
    admin = await Administrator.signed_in(pds)
    assert (await admin.open(path)).status == 200


async def test_a_second_factor_is_asked_for_and_no_code_works_twice(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    other = await Administrator.signed_in(pds)
    page = await admin.enter(await admin.open("/admin/security"), "/set-up")
    secret = page.reply.body.decode().partition("<code>")[2].partition("</code>")[0]
    totp = pyotp.TOTP(secret.replace(" ", ""))
    page = await admin.enter(page, "/confirm", code="000000")
    assert page.status == 400
    code = totp.now()
    page = await admin.enter(page, "/confirm", code=code)
    assert "From now on these pages ask for a code" in page.text
    assert secret not in repr(pds.ctx.accounts.db.all("SELECT * FROM holdfast_admin_factor"))
    # A browser that had the password alone has to sign in again, with a code that is new.
    assert (await other.open("/admin")).status == 303
    for wrong in ({}, {"code": code}, {"code": "123456"}, {"code": "x" * 900}):
        assert (await other.sign_in(ADMIN_PASSWORD, **wrong)).status == 400
    later = totp.at(time.time() + 30)
    assert (await other.sign_in("wrong", code=later)).status == 400
    page = await other.sign_in(ADMIN_PASSWORD, code=later)
    assert page.status == 200
    page = await other.enter(await other.open("/admin/security"), "/remove", code="000000")
    assert pds.ctx.administration.second_factor.is_set


async def test_a_second_factor_is_not_replaced_without_a_code_of_it(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.enter(await admin.open("/admin/security"), "/set-up")
    secret = page.reply.body.decode().partition("<code>")[2].partition("</code>")[0]
    own, _ = pds.ctx.administration.second_factor.offer()
    assert await pds.ctx.administration.second_factor.set_up(own, pyotp.TOTP(own).now())
    row = pds.ctx.accounts.db.all("SELECT * FROM holdfast_admin_factor")
    code = pyotp.TOTP(secret.replace(" ", "")).now()
    page = await admin.enter(page, "/confirm", code=code)
    assert "Remove the second factor first" in page.text
    other, _ = pds.ctx.administration.second_factor.offer()
    assert not await pds.ctx.administration.second_factor.set_up(other, pyotp.TOTP(other).now())
    assert pds.ctx.accounts.db.all("SELECT * FROM holdfast_admin_factor") == row


async def test_codes_are_not_tried_without_end_and_it_is_said_what_to_do(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    factor = pds.ctx.administration.second_factor
    secret, _ = factor.offer()
    assert await factor.set_up(secret, pyotp.TOTP(secret).now())
    pds.ctx.accounts.db.run(
        "UPDATE holdfast_admin_factor SET wrong = ?, wrongUntil = ?",
        (WRONG_A_DAY, int(time.time()) + 1000),
    )
    page = await admin.sign_out_and_in(code=pyotp.TOTP(secret).at(time.time() + 30))
    assert (page.status, "pds admin reset-second-factor" in page.text) == (429, True)


async def test_an_offer_of_another_time_or_server_sets_nothing_up(pds: Pds) -> None:
    admin = await Administrator.signed_in(pds)
    page = await admin.enter(await admin.open("/admin/security"), "/set-up")
    for offer in ("", "zz", "00" * 60):
        shown = await admin.enter(page, "/confirm", offer=offer, code="000000")
        assert "This has taken too long." in shown.text
    assert not pds.ctx.administration.second_factor.is_set


async def test_pages_of_a_large_server_hold_nobody_up(pds: Pds) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.many(
            "INSERT INTO actor (did, handle, createdAt) VALUES (?, ?, ?)",
            (
                (f"did:plc:{n:024d}", f"user{n:06d}.test", f"2026-01-01T00:{n // 1000:03d}")
                for n in range(100_000)
            ),
        )
        db.many(
            "INSERT INTO invite_code (code, availableUses, disabled, forAccount, createdBy,"
            " createdAt) VALUES (?, 1, 0, 'admin', 'admin', '2026-01-01T00:00:00.000Z')",
            ((f"code-{n}",) for n in range(50_000)),
        )
    admin = await Administrator.signed_in(pds)
    paths = (
        *("/admin", "/admin/accounts", "/admin/accounts?q=user09", "/admin/invites?before=9000"),
        *("/admin/accounts?state=takendown", "/admin/accounts?q=zzz"),
    )
    for path in paths:
        await admin.open(path)  # Templates are compiled once.
    with loop_blocks() as seen:
        for path in paths:
            assert (await admin.open(path)).status == 200
    assert seen.longest_ms < 50, seen.where
