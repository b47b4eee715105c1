"""Mails that the server writes: their words and look, and what nobody can write into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pds.accounts.account import ActorAccount
from pds.accounts.app_passwords import AppPassword
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.config import read_settings
from pds.mail.message import Mail
from pds.mail.texts import Branding, MailTexts
from repo.syntax import Did
from tests.pds.config.test_settings import WORKING

ALICE = ActorAccount(
    Did("did:plc:aliceaaaaaaaaaaaaaaaaaaa"),
    "alice.test",
    "2026-01-01T00:00:00.000Z",
    None,
    None,
    None,
    "alice@example.com",
    None,
    invites_disabled=False,
)
TOKEN = "ABCDE-FGH23"
LINK = f"https://bsky.app/intent/verify-email?code={TOKEN}"
HOSTILE = "<script>alert(1)</script>\"'&{{token}}"
CONFIRM = EmailTokenPurpose.CONFIRM_EMAIL
RESET = EmailTokenPurpose.RESET_PASSWORD

each_purpose = pytest.mark.parametrize("purpose", list(EmailTokenPurpose))


def mail_of(
    purpose: EmailTokenPurpose, account: ActorAccount = ALICE, branding: Branding | None = None
) -> Mail:
    return MailTexts(branding or Branding("My PDS")).token(
        purpose, account, "alice@example.com", TOKEN
    )


def branding_of(**environ: str) -> Branding:
    return Branding.of(read_settings(WORKING | environ))


class Tags(HTMLParser):
    """The tags of a page, and the values of their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for _, value in attrs]


@pytest.mark.parametrize(
    ("purpose", "subject"),
    [
        (CONFIRM, "Email Confirmation"),
        (EmailTokenPurpose.UPDATE_EMAIL, "Email Update Requested"),
        (RESET, "Password Reset Requested"),
        (EmailTokenPurpose.DELETE_ACCOUNT, "Account Deletion Requested"),
        (EmailTokenPurpose.PLC_OPERATION, "PLC Update Operation Requested"),
    ],
)
def test_each_mail_has_the_reference_s_subject_and_the_token(
    purpose: EmailTokenPurpose, subject: str
) -> None:
    mail = mail_of(purpose)
    assert (mail.to, mail.subject) == ("alice@example.com", subject)
    for form in (mail.text, mail.html):
        assert TOKEN in form
        assert "alice.test" in form
        assert "15 minutes" in form
        assert "My PDS" in form
        assert "https://bsky.app" in form
    assert f"\n\n    {TOKEN}\n\n" in mail.text
    assert "{" not in mail.text
    assert max(map(len, mail.text.splitlines())) < 80


@each_purpose
def test_both_forms_have_the_same_words(purpose: EmailTokenPurpose) -> None:
    mail = mail_of(purpose)
    html = " ".join(mail.html.split())
    title, body, *_ = mail.text.split("\n\n")
    assert title in html
    assert " ".join(body.split()) in html


def test_only_the_confirmation_links_to_the_app_and_only_if_it_may() -> None:
    with_link = {purpose for purpose in EmailTokenPurpose if LINK in mail_of(purpose).html}
    assert with_link == {CONFIRM}
    assert LINK in mail_of(CONFIRM).text
    without = mail_of(CONFIRM, branding=branding_of(PDS_EMAIL_DISABLE_CONFIRMATION_LINK="true"))
    assert "intent" not in without.text + without.html
    assert TOKEN in without.text


def test_an_account_without_a_handle_is_called_by_its_address() -> None:
    mail = mail_of(RESET, replace(ALICE, handle=None))
    assert "for the account alice@example.com" in mail.text
    assert "for the account alice@example.com" in mail.html


@pytest.mark.parametrize(
    "make",
    [
        lambda account: MailTexts(branding_of()).sign_in_code(account, "alice@example.com", TOKEN),
        lambda account: MailTexts(branding_of()).factors_changed(
            account, "alice@example.com", "It is."
        ),
    ],
    ids=["code", "change"],
)
def test_mails_about_second_factors_say_the_same_in_both_forms(
    make: Callable[[ActorAccount], Mail],
) -> None:
    mail = make(ALICE)
    title, body, *_ = mail.text.split("\n\n")
    html = " ".join(mail.html.split())
    assert title in html
    assert " ".join(body.split()) in html
    assert "alice.test" in mail.text
    assert max(map(len, mail.text.splitlines())) < 80
    plain, hostile = (Tags(make(replace(ALICE, handle=h)).html) for h in ("a.test", HOSTILE))
    assert (hostile.tags, hostile.values) == (plain.tags, plain.values)


@each_purpose
def test_a_hostile_handle_stays_text(purpose: EmailTokenPurpose) -> None:
    plain, hostile = (
        Tags(mail_of(purpose, replace(ALICE, handle=handle)).html)
        for handle in ("alice.test", HOSTILE)
    )
    assert hostile.tags == plain.tags
    assert hostile.values == plain.values
    text = mail_of(purpose, replace(ALICE, handle="alice.test\r\n\r\nYour new code: X")).text
    assert "\n\nYour new code" not in text
    assert "alice.test Your new code: X" in " ".join(text.split())


def test_settings_stay_where_they_are_put() -> None:
    branding = Branding(HOSTILE, home_url=HOSTILE, logo_url=HOSTILE, primary_color=HOSTILE)
    tags = Tags(mail_of(RESET, branding=branding).html)
    assert "script" not in tags.tags
    assert tags.values.count(HOSTILE) == 4  # two links, the logo, its name


def test_the_look_is_the_operator_s() -> None:
    branding = branding_of(
        PDS_SERVICE_NAME="Example Social",
        PDS_HOME_URL="https://social.example",
        PDS_LOGO_URL="https://social.example/logo.png",
        PDS_PRIMARY_COLOR="#ff0088",
    )
    mail = mail_of(CONFIRM, branding=branding)
    assert mail.text.endswith("-- \nExample Social\nhttps://social.example")
    html = Tags(mail.html)
    assert {"https://social.example", "https://social.example/logo.png", "Example Social"} <= set(
        html.values
    )
    assert sum("color: #ff0088" in (value or "") for value in html.values) == 4


def test_without_a_look_it_is_the_reference_s_but_for_its_logo() -> None:
    branding = branding_of(PDS_HOSTNAME="pds.example.com")
    assert branding == Branding(
        "pds.example.com PDS",
        "https://bsky.app",
        None,
        "#067df7",
        has_confirmation_link=True,
        pages_url="https://pds.example.com",
    )
    assert "img" not in Tags(mail_of(CONFIRM, branding=branding).html).tags


def changed_mail(*names: str) -> Mail:
    app_passwords = [AppPassword(name, "2026-02-03T04:05:06.789Z", False) for name in names]
    return MailTexts(Branding("My PDS")).password_changed(ALICE, "alice@example.com", app_passwords)


def test_the_mail_of_a_new_password_lists_app_passwords_and_how_to_revoke_them() -> None:
    mail = changed_mail("phone", "my tablet")
    assert (mail.to, mail.subject) == ("alice@example.com", "Password Changed")
    assert "\n* phone, created on 2026-02-03\n* my tablet, created on 2026-02-03\n" in mail.text
    assert "<li>my tablet, created on 2026-02-03</li>" in mail.html
    for form in (mail.text, mail.html):
        assert "alice.test" in form
        assert "com.atproto.server.revokeAppPassword" in form
        assert "If it was not you" in form
    assert "{" not in mail.text
    assert max(map(len, mail.text.splitlines())) < 80


def test_without_app_passwords_it_speaks_of_none() -> None:
    mail = changed_mail()
    for form in (mail.text, mail.html):
        assert "app password" not in form.lower()
        assert "If it was not you" in form


def test_names_of_app_passwords_stay_text_and_their_number_bounded() -> None:
    assert Tags(changed_mail(HOSTILE).html).tags == Tags(changed_mail("phone").html).tags
    assert "\n* a Your new code: X, created" in changed_mail("a\r\n\r\nYour new code: X").text
    mail = changed_mail(*(f"{number} {'x' * 100_000}" for number in range(1000)))
    assert "* and 950 older ones" in mail.text
    assert len(mail.html) < 10_000


@pytest.mark.parametrize(
    ("purpose", "page"),
    [
        (CONFIRM, "/account/email"),
        (EmailTokenPurpose.UPDATE_EMAIL, "/account/email"),
        (RESET, f"/account/reset-password/new?code={TOKEN}"),
        (EmailTokenPurpose.DELETE_ACCOUNT, "/account/state"),
    ],
)
def test_a_mail_with_a_code_leads_to_the_page_that_takes_it(
    purpose: EmailTokenPurpose, page: str
) -> None:
    mail = mail_of(purpose, branding=Branding("My PDS", pages_url="https://pds.example"))
    assert f"\nhttps://pds.example{page}\n" in mail.text
    assert f"https://pds.example{page}" in Tags(mail.html).values
    assert "/account" not in mail_of(purpose).text


def test_mails_lead_to_no_pages_behind_an_entryway() -> None:
    url = branding_of().pages_url
    assert url is not None
    assert mail_of(RESET, branding=branding_of()).text.count(f"{url}/account/") == 1
    assert url not in mail_of(EmailTokenPurpose.PLC_OPERATION, branding=branding_of()).text
    behind = branding_of(
        PDS_ENTRYWAY_URL="https://entryway.example",
        PDS_ENTRYWAY_DID="did:web:entryway.example",
        PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX=(
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        ),
        PDS_ENTRYWAY_PLC_ROTATION_KEY="did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
    )
    assert behind.pages_url is None
