"""The texts of this server's mails: tokens with their purpose, and password change notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from pds.accounts.account import ActorAccount
from pds.accounts.app_passwords import AppPassword
from pds.accounts.email_tokens import LIFETIME_S, EmailTokenPurpose
from pds.config.mail_address import one_line
from pds.config.settings import Settings
from pds.mail.message import Mail

DEFAULT_HOME_URL: Final = "https://bsky.app"
DEFAULT_PRIMARY_COLOR: Final = "#067df7"

_SUBJECTS: Final = {
    EmailTokenPurpose.CONFIRM_EMAIL: "Email Confirmation",
    EmailTokenPurpose.UPDATE_EMAIL: "Email Update Requested",
    EmailTokenPurpose.RESET_PASSWORD: "Password Reset Requested",
    EmailTokenPurpose.DELETE_ACCOUNT: "Account Deletion Requested",
    EmailTokenPurpose.PLC_OPERATION: "PLC Update Operation Requested",
}
_PASSWORD_CHANGED: Final = "password_changed"  # noqa: S105 - a template
_FACTORS_CHANGED: Final = "factors_changed"
_SIGN_IN_CODE: Final = "sign_in_code"
_APP_PASSWORDS_SHOWN: Final = 50
_MAX_NAME_LENGTH: Final = 60
_CONFIRMATION_LINK: Final = "https://bsky.app/intent/verify-email?code="


@dataclass(frozen=True, slots=True)
class Branding:
    """The sender's name and the appearance of mails."""

    service_name: str
    home_url: str = DEFAULT_HOME_URL
    logo_url: str | None = None
    primary_color: str = DEFAULT_PRIMARY_COLOR
    has_confirmation_link: bool = True
    """Whether the mail that confirms an address links to the Bluesky app."""

    @classmethod
    def of(cls, settings: Settings) -> Branding:
        """Take the branding from the settings, with the reference PDS's defaults."""
        branding = settings.branding
        return cls(
            service_name=settings.service_name,
            home_url=branding.home_url or DEFAULT_HOME_URL,
            logo_url=branding.logo_url,
            primary_color=branding.primary_color or DEFAULT_PRIMARY_COLOR,
            has_confirmation_link=not settings.email.disable_confirmation_link,
        )


def token_mail(
    branding: Branding, purpose: EmailTokenPurpose, account: ActorAccount, email: str, token: str
) -> Mail:
    """Return the mail with a token for `email`, the address of `account`."""
    link = None
    if purpose is EmailTokenPurpose.CONFIRM_EMAIL and branding.has_confirmation_link:
        link = _CONFIRMATION_LINK + quote(token)
    values = {"token": token, "link": link, "minutes": LIFETIME_S // 60}
    return _mail(purpose, _SUBJECTS[purpose], branding, account, email, values)


def sign_in_code_mail(branding: Branding, account: ActorAccount, email: str, code: str) -> Mail:
    """Return the mail with a code that finishes a sign-in, valid as long as a token."""
    values = {"token": code, "minutes": LIFETIME_S // 60}
    return _mail(_SIGN_IN_CODE, "Sign-in Code", branding, account, email, values)


def factors_changed_mail(
    branding: Branding, account: ActorAccount, email: str, change: str
) -> Mail:
    """Return the mail about a change of second factors; `change` is a sentence."""
    values = {"change": change}
    return _mail(_FACTORS_CHANGED, "Second Factors Changed", branding, account, email, values)


def password_changed_mail(
    branding: Branding, account: ActorAccount, email: str, app_passwords: Sequence[AppPassword]
) -> Mail:
    """Return the mail to `email` about a new password and the app passwords that remain valid.

    `app_passwords` are all of the account's, newest first.
    """
    items = [_line_of(one) for one in app_passwords[:_APP_PASSWORDS_SHOWN]]
    if len(app_passwords) > len(items):
        items.append(f"and {len(app_passwords) - len(items)} older ones")
    values = {"items": items}
    return _mail(_PASSWORD_CHANGED, "Password Changed", branding, account, email, values)


def _line_of(app_password: AppPassword) -> str:
    name = one_line(app_password.name[:_MAX_NAME_LENGTH])
    return f"{name}, created on {app_password.created_at[:10]}"


def _mail(
    template: str,
    subject: str,
    branding: Branding,
    account: ActorAccount,
    email: str,
    values: dict[str, Any],
) -> Mail:
    whole = {
        "subject": subject,
        "account": one_line(account.handle or email),
        "token": None,
        "link": None,
        "items": None,
        "service_name": branding.service_name,
        "home_url": branding.home_url,
        "logo_url": branding.logo_url,
        "primary_color": branding.primary_color,
        **values,
    }
    return Mail(
        email,
        subject,
        text=_render(template, "layout.txt", whole),
        html=_render(template, "layout.html", whole),
    )


def _render(template: str, layout: str, values: dict[str, Any]) -> str:
    """Render a template in the text or the HTML layout."""
    environment = _environment(escapes=layout.endswith(".html"))
    return environment.get_template(f"{template}.txt").render(values, layout=layout)


@cache
def _environment(*, escapes: bool) -> Environment:
    return Environment(
        loader=PackageLoader("pds.mail"),
        autoescape=escapes,  # noqa: S701 (off for plain text)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
