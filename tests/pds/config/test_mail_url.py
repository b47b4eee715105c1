"""URLs of mail servers, as operators of the reference PDS have them."""

from __future__ import annotations

import ssl

import pytest

from pds.config.mail_url import (
    InvalidMailUrl,
    MailRoute,
    Sendmail,
    SmtpServer,
    parse_mail_url,
)


@pytest.mark.parametrize(
    ("url", "route"),
    [
        ("smtp://mail.test", SmtpServer("mail.test", 587)),
        ("smtp://mail.test:25/", SmtpServer("mail.test", 25)),
        ("smtp://[::1]:25", SmtpServer("::1", 25)),
        ("SMTPS://Mail.test", SmtpServer("mail.test", 465, "from the start")),
        (
            "smtps://resend:key@mail.test:465/",
            SmtpServer("mail.test", 465, "from the start", username="resend", password="key"),
        ),
        (
            "smtp://me%40x.y:p%3A%2F%25@mail.test",
            SmtpServer("mail.test", 587, username="me@x.y", password="p:/%"),
        ),
        # As written by hand: what is no encoding stays, and the last @ ends the password.
        (
            "smtp://me:100%sure@home@mail.test",
            SmtpServer("mail.test", 587, username="me", password="100%sure@home"),
        ),
        ("smtp://me@mail.test", SmtpServer("mail.test", 587, username="me")),
        ("smtp://mail.test?ignoreTLS=true", SmtpServer("mail.test", 587, "never")),
        ("smtp://mail.test?requireTLS=1", SmtpServer("mail.test", 587, "required")),
        ("smtp://mail.test?ignoreTLS=false&pool=true", SmtpServer("mail.test", 587)),
        (
            "smtps://mail.test?tls.rejectUnauthorized=false&ignoreTLS=true&name=pds.test",
            SmtpServer(
                "mail.test",
                465,
                "from the start",
                verifies_certificate=False,
                ehlo_name="pds.test",
            ),
        ),
        ("smtp:///?sendmail=true", Sendmail("sendmail")),
        ("smtp:///?sendmail=true&path=/opt/msmtp", Sendmail("/opt/msmtp")),
    ],
)
def test_a_url_says_how_mails_leave(url: str, route: MailRoute) -> None:
    assert parse_mail_url(url) == route


@pytest.mark.parametrize(
    "url",
    [
        *("", "mail.test", "mail.test:25", "http://mail.test", "smtp://", "smtps:///"),
        *("smtp://mail.test:port", "smtp://mail.test:99999", "smtp://[::1", "smtp:///?sendmail=no"),
        "smtp://me:secret@mail.test:port",
        "smtp://me:secret@",
    ],
)
def test_what_is_no_url_of_a_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidMailUrl) as caught:
        parse_mail_url(url)
    assert "secret" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    route = parse_mail_url("smtp://me:secret@mail.test")
    assert "secret" not in repr(route)
    assert route.address == "mail.test:587"


def test_certificates_are_verified_unless_the_url_says_otherwise() -> None:
    strict, lenient = (
        SmtpServer("mail.test", 465, verifies_certificate=verifies).tls_context()
        for verifies in (True, False)
    )
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lenient.verify_mode, lenient.check_hostname) == (ssl.CERT_NONE, False)
