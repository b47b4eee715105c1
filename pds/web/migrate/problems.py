"""What keeps a move from going on, in words, and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pds.lifecycle.migration.errors import Problem
from pds.translations.language import deferred as _
from pds.web.pages.strangers_texts import on_one_line
from pds.web.pages.visit import Visit

_TEXTS: Final[Mapping[Problem, str]] = {
    Problem.AWAY: _("The other server does not answer. Nothing is lost: try again later."),
    Problem.SLOW: _("The other server answers too slowly. Nothing is lost: try again later."),
    Problem.WRONG: _("The other server does not answer as a server of this network does."),
    Problem.REFUSED: _("The other server refuses this."),
    Problem.PASSWORD: _(
        "The other server does not accept this password. Use the password of the account itself: "
        "an app password is not enough."
    ),
    Problem.FACTOR: _(
        "The other server asks for a code. Look into your mail or your authenticator app, and type "
        "the code here, with your password."
    ),
    Problem.SIGNED_OUT: _("You are no longer signed in at the other server. Sign in there again."),
    Problem.UNKNOWN: _("There is no such account or server. Check how you have written it."),
    Problem.OURS: _("This account is on this server already."),
    Problem.FORMER: _(
        "This server still has a copy of the account, from before it moved away. Sign in here with "
        "the password that it had here: then the copy is brought up to date."
    ),
    Problem.ACTIVE: _(
        "This server still has a copy of the account, from before it moved away, which was never "
        "deactivated. Deactivate it first, on the page of your account here."
    ),
    Problem.FORMER_THERE: _(
        "The new server still has a copy of the account, from before it moved away. Type the "
        "password that it has there: then the copy is brought up to date."
    ),
    Problem.HERE: _(
        "This account has begun to move here. Sign in with the password that you have chosen for "
        "this server, and go on."
    ),
    Problem.QUOTA: _(
        "The account needs more space than the new server gives it. Ask its operator for more, and "
        "try again; or cancel the move, and everything stays as it was."
    ),
    Problem.TOO_LARGE: _("What you have published is more than the new server takes in one piece."),
    Problem.NO_IMPORTS: _("This server takes no accounts from other servers."),
    Problem.REPOSITORY: _(
        "What the old server has sent is damaged, or not signed by your account. Try again; if it "
        "stays so, ask the operator of the old server."
    ),
    Problem.CODE: _("The code is wrong or has expired. Ask for another mail."),
    Problem.OPERATION: _(
        "The old server has agreed to something else than it was asked for. Nothing was changed."
    ),
    Problem.DIRECTORY: _(
        "The directory of identities does not answer, or refuses the change. Try again later."
    ),
    Problem.DOCUMENT: _("Your document does not name the new server, its key and your handle yet."),
    Problem.CHANGED: _(
        "Something was published at the old server in the meantime. It is copied now; then you can "
        "go on."
    ),
    Problem.LOST: _("Say first whether you go on without the files that are missing."),
    Problem.UNSURE: _("Tick the box, to show that you want this."),
    Problem.BUSY: _("This server is busy. Try again in some minutes."),
    Problem.STEP: _("The move is at another step now: look at this page again."),
    Problem.TOO_LATE: _("Your identity names the new server already. There is no way back."),
}
_SAID_CHARACTERS: Final = 200


def problem_text(visit: Visit, kind: str) -> str:
    """Return the text of a problem in the visitor's language; empty for none."""
    return visit.gettext(_TEXTS[Problem(kind)]) if kind else ""


def said_text(kind: str, said: str) -> str:
    """Return what the other server has said, if that helps."""
    return on_one_line(said, _SAID_CHARACTERS) if kind in _WITH_WORDS else ""


_WITH_WORDS: Final = frozenset(
    (
        *(Problem.AWAY, Problem.WRONG, Problem.REFUSED, Problem.PASSWORD, Problem.FACTOR),
        *(Problem.QUOTA, Problem.REPOSITORY, Problem.DIRECTORY, Problem.UNKNOWN),
    )
)
