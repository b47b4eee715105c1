"""The texts of this server's mails: tokens with their purpose, and password change notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader

from pds.accounts.account import ActorAccount
from pds.accounts.app_passwords import AppPassword
from pds.accounts.email_tokens import LIFETIME_S, EmailTokenPurpose
from pds.config.mail_address import one_line
from pds.config.settings import Settings
from pds.mail.message import Mail
from pds.translations.language import Language
from pds.translations.language import deferred as _
from pds.translations.languages import ENGLISH
from pds.translations.templates import make_environment

DEFAULT_HOME_URL: Final = "https://bsky.app"
DEFAULT_PRIMARY_COLOR: Final = "#067df7"

_SUBJECTS: Final = {
    EmailTokenPurpose.CONFIRM_EMAIL: _("Email Confirmation"),
    EmailTokenPurpose.UPDATE_EMAIL: _("Email Update Requested"),
    EmailTokenPurpose.RESET_PASSWORD: _("Password Reset Requested"),
    EmailTokenPurpose.DELETE_ACCOUNT: _("Account Deletion Requested"),
    EmailTokenPurpose.PLC_OPERATION: _("PLC Update Operation Requested"),
}
_PASSWORD_CHANGED: Final = "password_changed"  # noqa: S105 - a template
_FACTORS_CHANGED: Final = "factors_changed"
_SIGN_IN_CODE: Final = "sign_in_code"
_APP_PASSWORDS_SHOWN: Final = 50
_MAX_NAME_LENGTH: Final = 60
_environments: Final[dict[tuple[str, bool], Environment]] = {}
"""By the tag of the language, and whether values are written as HTML."""
_PAGES: Final = {
    EmailTokenPurpose.CONFIRM_EMAIL: "/account/email",
    EmailTokenPurpose.UPDATE_EMAIL: "/account/email",
    EmailTokenPurpose.RESET_PASSWORD: "/account/reset-password/new?code=",
    EmailTokenPurpose.DELETE_ACCOUNT: "/account/state",
}
"""The pages of this server that take a token; the token follows a `=`."""
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

    pages_url: str | None = None
    """The address before the paths of people's pages; None if an entryway has them."""

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
            pages_url=settings.public_url if settings.entryway_service is None else None,
        )


@dataclass(frozen=True, slots=True)
class MailTexts:
    """The mails of a server, in one language."""

    branding: Branding
    language: Language = ENGLISH

    def token(
        self, purpose: EmailTokenPurpose, account: ActorAccount, email: str, token: str
    ) -> Mail:
        """Return the mail with a token for `email`, the address of `account`."""
        link = None
        if purpose is EmailTokenPurpose.CONFIRM_EMAIL and self.branding.has_confirmation_link:
            link = _CONFIRMATION_LINK + quote(token)
        values = {
            "token": token,
            "link": link,
            "page": self._page(purpose, token),
            "minutes": LIFETIME_S // 60,
        }
        return self._mail(purpose, _SUBJECTS[purpose], account, email, values)

    def sign_in_code(self, account: ActorAccount, email: str, code: str) -> Mail:
        """Return the mail with a code that finishes a sign-in, valid as long as a token."""
        values = {"token": code, "minutes": LIFETIME_S // 60}
        return self._mail(_SIGN_IN_CODE, _("Sign-in Code"), account, email, values)

    def factors_changed(self, account: ActorAccount, email: str, change: str) -> Mail:
        """Return the mail about a change of second factors; `change` is a sentence in English."""
        values = {"change": self.language.gettext(change)}
        return self._mail(_FACTORS_CHANGED, _("Second Factors Changed"), account, email, values)

    def password_changed(
        self, account: ActorAccount, email: str, app_passwords: Sequence[AppPassword]
    ) -> Mail:
        """Return the mail to `email` about a new password and the app passwords still valid.

        `app_passwords` are all of the account's, newest first.
        """
        items = [self._line_of(one) for one in app_passwords[:_APP_PASSWORDS_SHOWN]]
        more = len(app_passwords) - len(items)
        if more:
            items.append(
                self.language.ngettext("and %(num)s older one", "and %(num)s older ones", more)
            )
        values = {"items": items}
        return self._mail(_PASSWORD_CHANGED, _("Password Changed"), account, email, values)

    def _page(self, purpose: EmailTokenPurpose, token: str) -> str | None:
        path, url = _PAGES.get(purpose), self.branding.pages_url
        if path is None or url is None:
            return None
        return url + path + (quote(token) if path.endswith("=") else "")

    def _line_of(self, app_password: AppPassword) -> str:
        return self.language.gettext(
            "%(name)s, created on %(date)s",
            name=one_line(app_password.name[:_MAX_NAME_LENGTH]),
            date=app_password.created_at[:10],
        )

    def _mail(
        self,
        template: str,
        subject: str,
        account: ActorAccount,
        email: str,
        values: dict[str, Any],
    ) -> Mail:
        translated = self.language.gettext(subject)
        whole = {
            "subject": translated,
            "account": one_line(account.handle or email),
            "token": None,
            "link": None,
            "page": None,
            "items": None,
            "service_name": self.branding.service_name,
            "home_url": self.branding.home_url,
            "logo_url": self.branding.logo_url,
            "primary_color": self.branding.primary_color,
            **values,
        }
        return Mail(
            email,
            translated,
            text=self._render(template, "layout.txt", whole),
            html=self._render(template, "layout.html", whole),
        )

    def _render(self, template: str, layout: str, values: dict[str, Any]) -> str:
        """Render a template in the text or the HTML layout."""
        escapes = layout.endswith(".html")
        key = (self.language.tag, escapes)
        environment = _environments.get(key)
        if environment is None:
            environment = _environments[key] = make_environment(
                PackageLoader("pds.mail"), self.language, escapes=escapes
            )
        return environment.get_template(f"{template}.txt").render(values, layout=layout)
