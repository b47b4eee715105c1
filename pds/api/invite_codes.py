"""Invite codes in answers: com.atproto.server.defs#inviteCode."""

from __future__ import annotations

from typing import Any

from pds.accounts.invites import InviteCode


def invite_code_output(code: InviteCode) -> dict[str, Any]:
    """A code with its uses, newest first."""
    return {
        "code": code.code,
        "available": code.available,
        "disabled": code.disabled,
        "forAccount": code.for_account,
        "createdBy": code.created_by,
        "createdAt": code.created_at,
        "uses": [{"usedBy": use.used_by, "usedAt": use.used_at} for use in code.uses],
    }
