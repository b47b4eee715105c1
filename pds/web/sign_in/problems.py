"""What is wrong with a form for an account, in words for people, and which field it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from identity.plc import PlcError
from pds.accounts.errors import (
    AccountDeactivated,
    AccountNotFound,
    AccountTakendown,
    AppPasswordExists,
    EmailNotSupported,
    EmailTaken,
    ExpiredToken,
    HandleNotAvailable,
    HandleNotResolved,
    HandleTaken,
    InvalidCredentials,
    InvalidEmail,
    InvalidHandle,
    InvalidInviteCode,
    InvalidPasswordLength,
    InvalidToken,
    NoEmailAddress,
    PasswordTooLong,
    TokenRequired,
    UnsupportedDomain,
)
from pds.accounts.handle_rules import MAX_LABEL_LENGTH, MIN_LABEL_LENGTH
from pds.accounts.passwords import MAX_NEW_LENGTH, MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.lifecycle.errors import DidMismatch, HoldAccount
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.translations.language import Language
from pds.translations.language import deferred as _

_NOT_SENT: Final = _("The mail could not be sent. Please try again later.")
_TEXTS: Final = {
    InvalidHandle: (
        "handle",
        _(
            "A handle has %(shortest_handle)s to %(longest_handle)s letters, digits and hyphens,"
            " and neither begins nor ends with a hyphen."
        ),
    ),
    HandleNotAvailable: (
        "handle",
        _("This name is reserved, or somebody has it. Please choose another one."),
    ),
    HandleNotResolved: (
        "own",
        _("This domain does not lead to your account. Check its DNS record, or its web server."),
    ),
    HandleTaken: ("handle", _("Somebody has this handle already. Please choose another one.")),
    UnsupportedDomain: (
        "handle",
        _("This server has no handles of this domain. You can use a domain of your own later."),
    ),
    EmailNotSupported: ("email", _("No mail can be sent to this address. Please use another one.")),
    EmailTaken: (
        "email",
        _("An account here has this address already. Sign in to it, or use another address."),
    ),
    InvalidPasswordLength: (
        "password",
        _("A password has %(shortest_password)s to %(longest_password)s characters."),
    ),
    InvalidInviteCode: (
        "invite",
        _("This invite code is wrong or used up. Ask for another one where you got it."),
    ),
    InvalidToken: ("code", _("This code is wrong or has been used. Please ask for a new one.")),
    ExpiredToken: ("code", _("This code has expired. Please ask for a new one.")),
    TokenRequired: ("code", _("Type the code from the mail. Send one above if you have none.")),
    InvalidCredentials: ("password", _("This password is wrong.")),
    PasswordTooLong: ("password", _("This password is too long. Set a new one by mail.")),
    InvalidEmail: ("email", _("This is no e-mail address.")),
    NoEmailAddress: ("email", _("The account has no e-mail address yet. Set one first.")),
    AppPasswordExists: ("name", _("There is an app password of this name. Choose another one.")),
    AccountNotFound: ("", _("There is no such account here.")),
    AccountTakendown: ("", _("This account is taken down.")),
    AccountDeactivated: ("", _("This account is deactivated.")),
    DidMismatch: (
        "",
        _("The identity of this account is not under this server, so it cannot be changed here."),
    ),
    HoldAccount: ("", _("This account is the server's own, which its operator manages.")),
    PlcError: ("", _("The directory of identities does not answer. Please try again later.")),
    MailNotSent: ("", _NOT_SENT),
    InvalidMail: ("", _NOT_SENT),
    TooBusy: ("", _("The server is busy. Please try again in a minute.")),
}
_VALUES: Final = {
    "shortest_handle": MIN_LABEL_LENGTH,
    "longest_handle": MAX_LABEL_LENGTH,
    "shortest_password": MIN_CHOSEN_LENGTH,
    "longest_password": MAX_NEW_LENGTH,
}


@dataclass(slots=True, frozen=True)
class Problem:
    """What is wrong."""

    text: str
    """A sentence with the remedy; empty if nothing is wrong."""
    field: str = ""
    """The name of the field that it is about; empty if it is about all."""

    def __bool__(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.text)


NO_PROBLEM: Final = Problem("")


def problem_of(error: Exception, language: Language) -> Problem:
    """Return what an error means to the person who has sent the form."""
    listed = next((one for one in type(error).mro() if one in _TEXTS), None)
    if listed is None:
        # What it says may have percent signs, and names no values.
        return Problem(language.texts.gettext(str(error)))
    field, text = _TEXTS[listed]
    return Problem(language.gettext(text, **_VALUES), field)
