"""`Mailer`: composes and sends every mail of the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pds.config.mail_address import parse_address
from pds.config.mail_url import Sendmail, parse_mail_url
from pds.mail.html_to_text import html_to_text
from pds.mail.message import InvalidMail, Mail
from pds.mail.sendmail import SendmailTransport
from pds.mail.smtp import SmtpTransport
from pds.mail.texts import Branding, MailTexts
from pds.mail.transport import LogTransport, MailNotSent, MailTransport
from pds.translations.asked import asked_language

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.accounts.app_passwords import AppPassword
    from pds.accounts.email_tokens import EmailTokenPurpose
    from pds.config import Settings

MAX_SUBJECT_LENGTH: Final = 500
"""In characters; mail programs show some 80."""

_ACCOUNTS: Final = "PDS_EMAIL_SMTP_URL"
_MODERATION: Final = "PDS_MODERATION_EMAIL_SMTP_URL"


@dataclass(frozen=True, slots=True)
class MailOutcome:
    """What became of a mail."""

    mail: Mail
    state: str
    """`sent`, `failed`, or `unsent` without a mail server."""
    reason: str = ""
    """Why it failed."""


class Mailer:
    """Composes and sends mails: tokens over one transport, moderators' messages over another.

    Mails of the server are in the language of the request that causes them.
    `on_mail` is called with every mail before it is sent, `on_outcome` is awaited after that.
    Methods raise `MailNotSent` and `InvalidMail`.
    """

    def __init__(
        self, branding: Branding, *, accounts: MailTransport, moderation: MailTransport
    ) -> None:
        self.on_mail: Callable[[Mail], None] | None = None
        self.on_outcome: Callable[[MailOutcome], Awaitable[None]] | None = None
        self._branding = branding
        self._accounts = accounts
        self._moderation = moderation

    @classmethod
    def of(cls, settings: Settings) -> Mailer:
        """Create the mailer that the (checked) settings describe."""
        email = settings.email
        return cls(
            Branding.of(settings),
            accounts=_transport(settings, _ACCOUNTS, email.smtp_url, email.from_address),
            moderation=_transport(
                settings, _MODERATION, email.moderation_smtp_url, email.moderation_address
            ),
        )

    async def send_token(
        self, purpose: EmailTokenPurpose, account: ActorAccount, email: str, token: str
    ) -> None:
        """Send a token to `email`, the address of `account`."""
        mail = (await self._texts()).token(purpose, account, email, token)
        await self._send(self._accounts, mail)

    async def send_sign_in_code(self, account: ActorAccount, email: str, code: str) -> None:
        """Send a code that finishes a sign-in to `email`, the address of `account`."""
        mail = (await self._texts()).sign_in_code(account, email, code)
        await self._send(self._accounts, mail)

    async def send_factors_changed(self, account: ActorAccount, email: str, change: str) -> None:
        """Notify `email`, the address of `account`, of a change of second factors."""
        mail = (await self._texts()).factors_changed(account, email, change)
        await self._send(self._accounts, mail)

    async def send_password_changed(
        self, account: ActorAccount, email: str, app_passwords: Sequence[AppPassword]
    ) -> None:
        """Notify `email`, the address of `account`, of a password set with a token."""
        mail = (await self._texts()).password_changed(account, email, app_passwords)
        await self._send(self._accounts, mail)

    async def send_from_moderation(self, email: str, *, subject: str, html: str) -> None:
        """Send a moderator's message to the address of an account."""
        if len(subject) > MAX_SUBJECT_LENGTH:
            raise InvalidMail(f"The subject has more than {MAX_SUBJECT_LENGTH} characters")
        await self._send(self._moderation, Mail(email, subject, html_to_text(html), html))

    async def _texts(self) -> MailTexts:
        return MailTexts(self._branding, await asked_language())

    async def _send(self, transport: MailTransport, mail: Mail) -> None:
        if self.on_mail is not None:
            self.on_mail(mail)
        try:
            await transport.send(mail)
        except (MailNotSent, InvalidMail) as exc:
            reason = exc.reason if isinstance(exc, MailNotSent) else str(exc)
            await self._tell(MailOutcome(mail, "failed", reason))
            raise
        state = "unsent" if isinstance(transport, LogTransport) else "sent"
        await self._tell(MailOutcome(mail, state))

    async def _tell(self, outcome: MailOutcome) -> None:
        if self.on_outcome is not None:
            await self.on_outcome(outcome)


def _transport(
    settings: Settings, setting: str, url: str | None, from_address: str | None
) -> MailTransport:
    if url is None or from_address is None:
        return LogTransport(setting, shows=settings.service.dev_mode)
    route, sender = parse_mail_url(url), parse_address(from_address)
    if isinstance(route, Sendmail):
        return SendmailTransport(setting, route, sender=sender)
    return SmtpTransport(setting, route, sender=sender, ehlo_name=settings.hostname)
