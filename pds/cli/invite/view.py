"""An invite code as commands show it to people."""

from __future__ import annotations

from pds.accounts.invite_codes import InviteCode


def uses_text(code: InviteCode) -> str:
    """How much of a code is used, such as `1 of 5 used`."""
    text = f"{len(code.uses)} of {code.available} used"
    return f"{text}, disabled" if code.disabled else text
