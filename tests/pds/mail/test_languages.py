"""Mails in the language of the request that causes them."""

from __future__ import annotations

from gettext import NullTranslations

import pytest

from pds.accounts.app_passwords import AppPassword
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.mail.message import Mail
from pds.mail.texts import Branding, MailTexts
from pds.translations import languages
from pds.translations.asked import ask_for_languages, asked_language
from pds.translations.language import Language
from tests.pds.conftest import Account, Pds
from tests.pds.mail.test_texts import ALICE

RESET = EmailTokenPurpose.RESET_PASSWORD
WORDS = {
    "Password Reset Requested": "Zurücksetzen erbeten",
    "Reset your password": "Passwort zurücksetzen",
    "The code is valid for %(minutes)s minutes.": "Der Code gilt %(minutes)s Minuten.",
    "Sent by %(service)s for the account %(account)s.": "Für %(account)s von %(service)s.",
    "%(name)s, created on %(date)s": "%(name)s vom %(date)s",
}


class Words(NullTranslations):
    """A catalogue of a few texts."""

    def gettext(self, message: str) -> str:
        return WORDS.get(message, message)


GERMAN = Language("de", "Deutsch", Words())


def test_all_parts_of_a_mail_are_in_the_language() -> None:
    mail = MailTexts(Branding("My PDS"), GERMAN).token(RESET, ALICE, "alice@example.com", "A-1")
    assert mail.subject == "Zurücksetzen erbeten"
    assert mail.text.startswith("Passwort zurücksetzen\n\n")
    assert "Der Code gilt 15 Minuten.\n" in mail.text
    assert '<html lang="de" dir="ltr">' in mail.html
    assert ">Passwort zurücksetzen</h1>" in mail.html
    assert 'Für alice.test von <a href="https://bsky.app" style="color: #52606d">My PDS</a>.' in (
        mail.html
    )
    english = MailTexts(Branding("My PDS")).token(RESET, ALICE, "alice@example.com", "A-1")
    assert english.text.startswith("Reset your password\n\n")


def test_names_in_a_mail_are_no_places_for_values() -> None:
    names = [AppPassword("100 %(date)s", "2026-02-03T04:05:06.789Z", False)]
    mail = MailTexts(Branding("My PDS"), GERMAN).password_changed(ALICE, "a@example.com", names)
    assert "* 100 %(date)s vom 2026-02-03\n" in mail.text


@pytest.mark.parametrize(
    ("accepted", "subject"),
    [
        ("fr;q=0.1, de-AT", "Zurücksetzen erbeten"),
        ("en-GB, de;q=0.9", "Password Reset Requested"),
        ("", "Password Reset Requested"),
    ],
)
async def test_a_request_gets_its_mail_in_the_language_that_it_accepts(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch, accepted: str, subject: str
) -> None:
    monkeypatch.setitem(languages._loaded, "de", GERMAN)
    sent: list[Mail] = []
    pds.ctx.mailer.on_mail = sent.append
    await pds.post(
        "com.atproto.server.requestPasswordReset",
        {"email": alice.email},
        {"Accept-Language": accepted},
    )
    assert [mail.subject for mail in sent] == [subject]


async def test_outside_requests_mails_are_in_english() -> None:
    assert (await asked_language()).tag == "en"
    ask_for_languages("xx, ja;q=0.5")
    assert (await asked_language()).tag == "ja"
