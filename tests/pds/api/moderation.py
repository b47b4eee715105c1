"""Moderating accounts as the administrator, and hearing what the log says of it."""

from __future__ import annotations

from typing import Any

from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import LoggedEvent, read_events

STATUS = "com.atproto.admin.getSubjectStatus"
UPDATE = "com.atproto.admin.updateSubjectStatus"
NOTE = "com.example.note"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
REVERSED = {"applied": False}


async def update(pds: Pds, subject: dict[str, Any], **changes: Any) -> Reply:
    """Change the state of any subject."""
    return await pds.post(UPDATE, {"subject": subject, **changes}, pds.admin)


async def update_account(pds: Pds, account: Account, **changes: Any) -> Reply:
    """Change the state of an account."""
    return await update(pds, repo_ref(account), **changes)


async def make_inactive(pds: Pds, account: Account, state: str) -> None:
    """Let the administrator take an account down or deactivate it."""
    change = {"takedown": applied()} if state == "takendown" else {"deactivated": applied()}
    assert (await update_account(pds, account, **change)).status == 200


def repo_ref(account: Account) -> dict[str, Any]:
    """An account as a subject."""
    return {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}


def applied(ref: str | None = None) -> dict[str, Any]:
    """A state that is set, with its reference."""
    return {"applied": True, **({} if ref is None else {"ref": ref})}


class Recorder:
    """The events since the last look."""

    def __init__(self, pds: Pds) -> None:
        self._pds = pds
        self._seen = pds.ctx.sequencer.current_seq

    def __call__(self) -> list[LoggedEvent]:
        events = read_events(self._pds, after=self._seen)
        self._seen = self._pds.ctx.sequencer.current_seq
        return events
