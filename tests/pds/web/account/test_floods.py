"""Pages of an account that send mails are no way to flood somebody with them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pds.mail.message import Mail
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.test_signing_in import location, sign_in


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return pds_environ | {"PDS_RATE_LIMITS_ENABLED": "true"}


@pytest.fixture
def mails(pds: Pds) -> list[Mail]:
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    return sent


async def test_changes_of_second_factors_are_few(
    pds: Pds, alice: Account, bob: Account, mails: list[Mail]
) -> None:
    browser, of_bob = await sign_in(pds, alice), await sign_in(pds, bob)
    pages = [await each.open("/account/factors") for each in (browser, of_bob)]
    forms = [replace(page.form("/passkeys"), action="/account/factors/mail/off") for page in pages]
    for _ in range(20):
        assert location(await browser.send(forms[0])) == "/account/factors"
    refused = await browser.send(forms[0])
    assert (refused.status, "too many attempts" in refused.text) == (429, True)
    assert len(mails) <= 20
    assert location(await of_bob.send(forms[1])) == "/account/factors"


async def test_mails_to_addresses_that_nobody_has_confirmed_are_few(
    pds: Pds, alice: Account, mails: list[Mail]
) -> None:
    browser = await sign_in(pds, alice)
    form = (await browser.open("/account/email")).form("/change")
    for number in range(7):
        await browser.send(form, email=f"stranger{number}@example.com")
    assert len(mails) == 5
    page = await browser.open("/account/email")
    assert "Your e-mail address has been changed. Please confirm it." in page.text
    assert "stranger6@example.com" in page.text
