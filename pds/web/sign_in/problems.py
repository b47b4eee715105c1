"""What is wrong with a form for an account, in words for people, and which field it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pds.accounts.errors import (
    EmailNotSupported,
    EmailTaken,
    ExpiredToken,
    HandleNotAvailable,
    HandleTaken,
    InvalidHandle,
    InvalidInviteCode,
    InvalidPasswordLength,
    InvalidToken,
    UnsupportedDomain,
)
from pds.accounts.handle_rules import MAX_LABEL_LENGTH, MIN_LABEL_LENGTH
from pds.accounts.passwords import MAX_NEW_LENGTH, MIN_CHOSEN_LENGTH
from pds.fairness.turns import TooBusy
from pds.translations.language import Language
from pds.translations.language import deferred as _

_TEXTS: Final = {
    InvalidHandle: (
        "handle",
        _(
            "A handle has %(shortest_handle)s to %(longest_handle)s letters, digits and hyphens,"
            " and neither begins nor ends with a hyphen."
        ),
    ),
    HandleNotAvailable: ("handle", _("This handle is reserved. Please choose another one.")),
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
    InvalidToken: ("code", _("This code is wrong or has been used. Send a new one below.")),
    ExpiredToken: ("code", _("This code has expired. Send a new one below.")),
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


NO_PROBLEM: Final = Problem("")


def problem_of(error: Exception, language: Language) -> Problem:
    """Return what an error means to the person who has sent the form."""
    listed = next((one for one in type(error).mro() if one in _TEXTS), None)
    if listed is None:
        # What it says may have percent signs, and names no values.
        return Problem(language.texts.gettext(str(error)))
    field, text = _TEXTS[listed]
    return Problem(language.gettext(text, **_VALUES), field)
