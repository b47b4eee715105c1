"""Changing an account on its pages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from identity.handles import HandleClaim
from pds.mail.message import Mail
from repo.syntax import Did, Handle
from tests.pds.api.test_second_factor import turn_on_mail
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.test_signing_in import location, sign_in
from tests.pds.web.browser import Browser, Page


@pytest.fixture
async def browser(pds: Pds, alice: Account) -> Browser:
    """A browser in which Alice has just signed in."""
    return await sign_in(pds, alice)


@pytest.fixture
def mails(pds: Pds) -> list[Mail]:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    return sent


def code_in(mail: Mail) -> str:
    found = re.search(r"[A-Z2-7]{5}-[A-Z2-7]{5}", mail.html)
    assert found is not None
    return found[0]


async def send(browser: Browser, path: str, action: str, **values: Any) -> Page:
    page = await browser.open(path)
    return await browser.send(page.form(action), **values)


async def logs_in(pds: Pds, identifier: str, password: str) -> bool:
    body = {"identifier": identifier, "password": password}
    return (await pds.post("com.atproto.server.createSession", body)).status == 200


_FACTORS = "/account/factors"
_PAGES = (
    "",
    "/handle",
    "/email",
    "/password",
    "/app-passwords",
    "/sessions",
    "/apps",
    "/data",
    "/invites",
    "/state",
)


@pytest.mark.parametrize("path", _PAGES)
async def test_every_page_is_for_the_person_alone(pds: Pds, path: str) -> None:
    page = await Browser(pds).open(f"/account{path}")
    assert location(page).startswith("/account/sign-in?next=")


async def test_every_page_can_be_opened(browser: Browser) -> None:
    for path in _PAGES:
        page = await browser.open(f"/account{path}")
        assert (path, page.status) == (path, 200)


@pytest.mark.parametrize("path", ["/handle", "/email", "/data", "/state"])
async def test_what_is_dangerous_needs_the_password_from_just_now(
    pds: Pds, browser: Browser, path: str
) -> None:
    page = await browser.open(f"/account{path}")
    pds.ctx.accounts.db.run(
        "UPDATE account_device SET updatedAt = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-11 minutes')"
    )
    assert (await browser.open("/account")).status == 200
    assert f"next=%2Faccount%2F{path[1:]}" in location(await browser.open(f"/account{path}"))
    harmless = ("/account/email/confirm", "/account/email/send-confirmation")
    dangerous = [form for form in page.forms if form.action not in harmless]
    for form in dangerous:
        assert "sign-in" in location(await browser.send(form)), form.action


async def test_who_signs_in_again_for_a_form_gets_back_to_its_page(
    pds: Pds, browser: Browser
) -> None:
    page = await browser.open("/account/handle")
    pds.ctx.accounts.db.run("UPDATE account_device SET updatedAt = '2026-01-01T00:00:00.000Z'")
    assert "next=%2Faccount%2Fhandle&" in location(await browser.send(page.form("/hosted")))


async def test_a_form_of_another_account_changes_nothing(
    pds: Pds, browser: Browser, bob: Account
) -> None:
    page = await browser.open("/account/handle")
    sign_in_page = await browser.open("/account/sign-in", other="1")
    await browser.send(sign_in_page.form("/sign-in"), username=bob.handle, password=bob.password)
    assert "sign-in" in location(await browser.send(page.form("/hosted"), label="stolen"))
    assert pds.ctx.accounts.find_account("stolen.test") is None


@pytest.mark.parametrize(
    ("form", "page"),
    [
        ("/email/change", "/email"),
        ("/state/delete", "/state"),
        ("/sessions/all", "/sessions"),
        ("/second-factor/mail", ""),
        ("/", ""),
    ],
)
async def test_who_loads_the_address_of_a_form_gets_to_its_page(
    browser: Browser, form: str, page: str
) -> None:
    assert location(await browser.open(f"/account{form}")) == f"/account{page}"


@pytest.mark.parametrize("path", ["/email", "/state", "/app-passwords", "/sessions", "/data"])
async def test_every_form_names_the_account_that_it_changes(
    browser: Browser, alice: Account, path: str
) -> None:
    forms = (await browser.open(f"/account{path}")).forms
    changing = [form for form in forms if form.method == "post"]
    assert changing
    assert [form.action for form in changing if ("account", alice.did) not in form.fields] == []


class TestHandle:
    @pytest.mark.parametrize("label", ["alicia", "@Alicia.test"])
    async def test_a_name_of_this_server(
        self, pds: Pds, browser: Browser, alice: Account, label: str
    ) -> None:
        page = await send(browser, "/account/handle", "/hosted", label=label)
        assert location(page) == "/account"
        assert "@alicia.test" in (await browser.open("/account")).text
        found = pds.ctx.accounts.find_account("alicia.test")
        assert found is not None
        assert found.did == alice.did

    @pytest.mark.parametrize(
        ("label", "said"),
        [
            ("admin", "is reserved"),
            ("a", "letters, digits and hyphens"),
            ("bob", "somebody has it"),
        ],
    )
    async def test_a_name_that_cannot_be_had(
        self, pds: Pds, bob: Account, alice: Account, label: str, said: str
    ) -> None:
        browser = await sign_in(pds, alice)
        page = await send(browser, "/account/handle", "/hosted", label=label)
        assert (page.status, said.lower() in page.text.lower()) == (400, True)
        assert dict(page.form("/hosted").fields)["label"] == label

    async def test_a_domain_is_checked_before_it_is_used(
        self, pds: Pds, browser: Browser, alice: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dns: dict[str, Did] = {"bobs.example.com": Did("did:plc:bob")}

        async def resolve(handle: Handle, *, fresh: bool = False) -> Did | None:
            return dns.get(handle)

        async def claims(handle: Handle) -> tuple[HandleClaim, HandleClaim]:
            failure = "HTTPS: no answer" if handle == "broken.example.com" else ""
            return HandleClaim(dns.get(handle)), HandleClaim(None, failure)

        monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
        monkeypatch.setattr(pds.ctx.handle_resolver, "claims", claims)
        page = await browser.open("/account/handle")
        own = page.form("/own")

        async def check(domain: str) -> str:
            own.action = "/account/handle/check"
            return (await browser.send(own, own=domain)).text

        assert "Found in DNS nothing Found on the web server nothing" in await check(
            "Alice.example.com"
        )
        assert "did:plc:bob This is another account." in await check("bobs.example.com")
        assert "It cannot be looked up: there is no answer" in await check("broken.example.com")
        assert (await browser.send(own, own="no domain")).status == 400
        own.action = "/account/handle/own"
        page = await browser.send(own, own="alice.example.com")
        assert "does not lead to your account" in page.text
        dns["alice.example.com"] = Did(alice.did)
        assert "You can use it now." in await check("alice.example.com")
        own.action = "/account/handle/own"
        assert location(await browser.send(own, own="@alice.example.com")) == "/account"
        assert "@alice.example.com" in (await browser.open("/account")).text


class TestEmail:
    async def test_an_address_is_confirmed_with_a_code(
        self, browser: Browser, mails: list[Mail]
    ) -> None:
        await send(browser, "/account/email", "/send-confirmation")
        wrong = await send(browser, "/account/email", "/confirm", code="AAAAA-BBBBB")
        assert "This code is wrong" in wrong.text
        await send(browser, "/account/email", "/confirm", code=code_in(mails[-1]))
        page = await browser.open("/account/email")
        assert "Your e-mail address is confirmed." in page.text

    async def test_a_confirmed_address_has_to_agree_to_its_change(
        self, pds: Pds, browser: Browser, alice: Account, mails: list[Mail]
    ) -> None:
        await send(browser, "/account/email", "/send-confirmation")
        await send(browser, "/account/email", "/confirm", code=code_in(mails[-1]))
        page = await send(browser, "/account/email", "/change", email="new@example.com")
        assert "Type the code from the mail" in page.text
        await send(browser, "/account/email", "/send-leave")
        assert mails[-1].to == alice.email
        code = code_in(mails[-1])
        await send(browser, "/account/email", "/change", email="new@example.com", code=code)
        assert mails[-1].to == "new@example.com"
        assert await logs_in(pds, "new@example.com", alice.password)

    async def test_codes_and_leave_stay_with_the_old_address_until_the_new_one_is_confirmed(
        self, pds: Pds, browser: Browser, alice: Account, mails: list[Mail]
    ) -> None:
        await turn_on_mail(pds, alice)
        for email in ("mistyped@example.com", "right@example.com"):
            await send(browser, "/account/email", "/send-leave")
            assert mails[-1].to == alice.email
            refused = await send(browser, "/account/email", "/change", email=email)
            assert f"mailed to {alice.email} has to agree" in refused.text
            assert "Type the code from the mail" in refused.text
            code = code_in(mails[-1])
            await send(browser, "/account/email", "/change", email=email, code=code)
            assert f"codes are sent to {alice.email}" in (await browser.open(_FACTORS)).text
        await send(browser, "/account/email", "/confirm", code=code_in(mails[-1]))
        assert "codes are sent to right@example.com" in (await browser.open(_FACTORS)).text

    @pytest.mark.parametrize("email", ["nobody", "bob@example.com", ""])
    async def test_a_wrong_address_changes_nothing(
        self, pds: Pds, browser: Browser, alice: Account, bob: Account, email: str
    ) -> None:
        page = await send(browser, "/account/email", "/change", email=email)
        assert page.status == 400
        assert await logs_in(pds, alice.email, alice.password)


class TestPassword:
    async def test_a_new_password_signs_out_everywhere(
        self, pds: Pds, browser: Browser, alice: Account
    ) -> None:
        other = await sign_in(pds, alice)
        page = await send(
            browser, "/account/password", "/password", old=alice.password, new="a-new-password"
        )
        assert location(page) == "/account/sign-in"
        for each in (browser, other):
            assert "sign-in" in location(await each.open("/account"))
        assert await logs_in(pds, alice.handle, "a-new-password")
        assert (await pds.get("com.atproto.server.getSession", alice.auth)).status == 400

    @pytest.mark.parametrize(
        ("old", "new"), [("wrong", "a-new-password"), ("", "a-new-password"), (None, "short")]
    )
    async def test_a_wrong_one_changes_nothing(
        self, pds: Pds, browser: Browser, alice: Account, old: str | None, new: str
    ) -> None:
        old = alice.password if old is None else old
        page = await send(browser, "/account/password", "/password", old=old, new=new)
        assert page.status == 400
        assert await logs_in(pds, alice.handle, alice.password)


class TestAppPasswords:
    async def test_one_is_shown_once_and_ended(
        self, pds: Pds, browser: Browser, alice: Account
    ) -> None:
        page = await send(browser, "/account/app-passwords", "/create", name="My <app>")
        found = re.search(r"[a-z2-7]{4}(-[a-z2-7]{4}){3}", page.text)
        assert found is not None
        assert await logs_in(pds, alice.handle, found[0])
        page = await browser.open("/account/app-passwords")
        assert found[0] not in page.text
        assert "My <app>" in page.text
        await browser.send(page.form("/revoke"))
        assert not await logs_in(pds, alice.handle, found[0])

    @pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\nb", "taken"])
    async def test_a_name_that_does_not_do(self, browser: Browser, name: str) -> None:
        await send(browser, "/account/app-passwords", "/create", name="taken")
        page = await send(browser, "/account/app-passwords", "/create", name=name)
        assert page.status == 400


class TestState:
    async def test_a_deactivated_account_comes_back(
        self, pds: Pds, browser: Browser, alice: Account
    ) -> None:
        await send(browser, "/account/state", "/deactivate")
        assert pds.ctx.accounts.find_account(alice.did) is None
        assert "deactivated" in (await browser.open("/account")).text
        page = await send(browser, "/account/state", "/activate")
        assert location(page) == "/account"
        assert pds.ctx.accounts.find_account(alice.did) is not None

    async def test_it_is_deleted_with_code_password_and_handle(
        self, pds: Pds, browser: Browser, alice: Account, mails: list[Mail]
    ) -> None:
        await send(browser, "/account/state", "/send-code")
        right = {
            "code": code_in(mails[-1]),
            "password": alice.password,
            "handle": f"@{alice.handle}",
        }
        for wrong in ({"code": "x"}, {"password": "x"}, {"handle": "bob.test"}, {"handle": ""}):
            page = await send(browser, "/account/state", "/delete", **{**right, **wrong})
            assert page.status == 400
        assert pds.ctx.accounts.find_account(alice.did) is not None
        page = await send(browser, "/account/state", "/delete", **right)
        assert location(page) == "/account/sign-in"
        assert pds.ctx.accounts.find_account(alice.did, include_inactive=True) is None
        assert "The account is deleted." in (await browser.open("/account/sign-in")).text
