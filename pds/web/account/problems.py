"""What is wrong with a form on the pages of an account, in words for the person."""

from __future__ import annotations

from typing import Final

from identity.plc import PlcError
from pds.accounts.errors import (
    AppPasswordExists,
    ExpiredToken,
    HandleNotAvailable,
    HandleNotResolved,
    InvalidCredentials,
    InvalidEmail,
    InvalidToken,
    NoEmailAddress,
    TokenRequired,
)
from pds.lifecycle.errors import DidMismatch, HoldAccount
from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent
from pds.translations.language import deferred as _
from pds.web.pages.visit import Visit
from pds.web.sign_in.problems import Problem, problem_of

_NOT_SENT: Final = _("The mail could not be sent. Please try again later.")
_TEXTS: Final = {
    InvalidToken: ("code", _("This code is wrong or has been used. Send a new one above.")),
    ExpiredToken: ("code", _("This code has expired. Send a new one above.")),
    TokenRequired: ("code", _("Type the code from the mail. Send one above if you have none.")),
    InvalidCredentials: ("password", _("This password is wrong.")),
    InvalidEmail: ("email", _("This is no e-mail address.")),
    NoEmailAddress: ("email", _("The account has no e-mail address yet. Set one first.")),
    AppPasswordExists: ("name", _("There is an app password of this name. Choose another one.")),
    HandleNotAvailable: (
        "label",
        _("This name is reserved, or somebody has it. Please choose another one."),
    ),
    HandleNotResolved: (
        "own",
        _("This domain does not lead to your account yet. Check it, to see what is lacking."),
    ),
    DidMismatch: (
        "",
        _("The identity of this account is not under this server, so it cannot be changed here."),
    ),
    HoldAccount: ("", _("This account is the server's own, which its operator manages.")),
    PlcError: ("", _("The directory of identities does not answer. Please try again later.")),
    MailNotSent: ("", _NOT_SENT),
    InvalidMail: ("", _NOT_SENT),
}


def problem_with(visit: Visit, error: Exception) -> Problem:
    """Return what an error means to the person who has sent the form, in their language."""
    listed = next((one for one in type(error).mro() if one in _TEXTS), None)
    if listed is None:
        return problem_of(error, visit.language)
    field, text = _TEXTS[listed]
    return Problem(visit.gettext(text), field)
