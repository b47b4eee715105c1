"""Methods that tokens of less than the whole account must not reach through other services.

NSIDs are compared in lower case: their authority is a domain name, and a service that compares
loosely must not be a way around these lists.
"""

from __future__ import annotations

from typing import Final

PROTECTED_METHODS: Final = frozenset(
    {
        "com.atproto.admin.sendemail",
        "com.atproto.identity.requestplcoperationsignature",
        "com.atproto.identity.signplcoperation",
        "com.atproto.identity.updatehandle",
        "com.atproto.server.activateaccount",
        "com.atproto.server.confirmemail",
        "com.atproto.server.createapppassword",
        "com.atproto.server.deactivateaccount",
        "com.atproto.server.getaccountinvitecodes",
        "com.atproto.server.getsession",
        "com.atproto.server.listapppasswords",
        "com.atproto.server.requestaccountdelete",
        "com.atproto.server.requestemailconfirmation",
        "com.atproto.server.requestemailupdate",
        "com.atproto.server.revokeapppassword",
        "com.atproto.server.updateemail",
    }
)
"""For the account itself on its own server: never proxied, never in a service token."""

_PRIVATE_MESSAGES: Final = "chat.bsky."
"""A namespace that grows: a list of its methods, as the reference has one, is soon too short."""
_MOVING_AWAY: Final = "com.atproto.server.createaccount"


def is_protected(nsid: str) -> bool:
    """Whether a method is one of `PROTECTED_METHODS`, in any letter case."""
    return nsid.lower() in PROTECTED_METHODS


def is_privileged(nsid: str) -> bool:
    """Whether a method is not for sessions of plain app passwords, in any letter case.

    That is private messages, and moving the account away.
    """
    lower = nsid.lower()
    return lower.startswith(_PRIVATE_MESSAGES) or lower == _MOVING_AWAY
