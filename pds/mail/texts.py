"""The mails that this server writes: a token, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from pds.accounts.account import ActorAccount
from pds.accounts.email_tokens import LIFETIME_S, EmailTokenPurpose
from pds.config.settings import Settings
from pds.mail.message import Mail, one_line

DEFAULT_HOME_URL: Final = "https://bsky.app"
DEFAULT_PRIMARY_COLOR: Final = "#067df7"

_SUBJECTS: Final = {
    EmailTokenPurpose.CONFIRM_EMAIL: "Email Confirmation",
    EmailTokenPurpose.UPDATE_EMAIL: "Email Update Requested",
    EmailTokenPurpose.RESET_PASSWORD: "Password Reset Requested",
    EmailTokenPurpose.DELETE_ACCOUNT: "Account Deletion Requested",
    EmailTokenPurpose.PLC_OPERATION: "PLC Update Operation Requested",
}
_CONFIRMATION_LINK: Final = "https://bsky.app/intent/verify-email?code="


@dataclass(frozen=True, slots=True)
class Branding:
    """Whose mails they are, and how they look."""

    service_name: str
    home_url: str = DEFAULT_HOME_URL
    logo_url: str | None = None
    primary_color: str = DEFAULT_PRIMARY_COLOR
    has_confirmation_link: bool = True
    """Whether the mail that confirms an address links to the Bluesky app."""

    @classmethod
    def of(cls, settings: Settings) -> Branding:
        """What the operator has set, and the reference PDS's defaults."""
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
    """The mail that brings a token to `email`, the address of `account`."""
    link = None
    if purpose is EmailTokenPurpose.CONFIRM_EMAIL and branding.has_confirmation_link:
        link = _CONFIRMATION_LINK + quote(token)
    values = {
        "subject": _SUBJECTS[purpose],
        "account": one_line(account.handle or email),
        "token": token,
        "link": link,
        "minutes": LIFETIME_S // 60,
        "service_name": branding.service_name,
        "home_url": branding.home_url,
        "logo_url": branding.logo_url,
        "primary_color": branding.primary_color,
    }
    return Mail(
        email,
        _SUBJECTS[purpose],
        text=_render(purpose, "layout.txt", values),
        html=_render(purpose, "layout.html", values),
    )


def _render(purpose: EmailTokenPurpose, layout: str, values: dict[str, Any]) -> str:
    """One wording, in the layout of one of the two forms."""
    environment = _environment(escapes=layout.endswith(".html"))
    return environment.get_template(f"{purpose}.txt").render(values, layout=layout)


@cache
def _environment(*, escapes: bool) -> Environment:
    return Environment(
        loader=PackageLoader("pds.mail"),
        autoescape=escapes,  # noqa: S701 (off for plain text)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
