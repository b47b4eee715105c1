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

PRIVILEGED_METHODS: Final = frozenset(
    {
        "chat.bsky.actor.deleteaccount",
        "chat.bsky.actor.exportaccountdata",
        "chat.bsky.convo.deletemessageforself",
        "chat.bsky.convo.getconvo",
        "chat.bsky.convo.getconvoformembers",
        "chat.bsky.convo.getlog",
        "chat.bsky.convo.getmessages",
        "chat.bsky.convo.leaveconvo",
        "chat.bsky.convo.listconvos",
        "chat.bsky.convo.muteconvo",
        "chat.bsky.convo.sendmessage",
        "chat.bsky.convo.sendmessagebatch",
        "chat.bsky.convo.unmuteconvo",
        "chat.bsky.convo.updateread",
        "com.atproto.server.createaccount",
    }
)
"""Not for sessions of plain app passwords: private messages, and moving the account away."""


def is_protected(nsid: str) -> bool:
    """Whether a method is one of `PROTECTED_METHODS`, in any letter case."""
    return nsid.lower() in PROTECTED_METHODS


def is_privileged(nsid: str) -> bool:
    """Whether a method is one of `PRIVILEGED_METHODS`, in any letter case."""
    return nsid.lower() in PRIVILEGED_METHODS
