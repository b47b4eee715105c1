"""Moderating accounts as the administrator, and hearing what the log says of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.service_auth.jwt import create_service_jwt
from repo.keys import K256PrivateKey, PrivateKey
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import LoggedEvent, read_events

STATUS = "com.atproto.admin.getSubjectStatus"
UPDATE = "com.atproto.admin.updateSubjectStatus"
NOTE = "com.example.note"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16
REVERSED = {"applied": False}


_MODERATOR_KEY = K256PrivateKey.from_bytes(b"\x21" * 32)
_LABEL_KEY = K256PrivateKey.from_bytes(b"\x22" * 32)
_MODERATOR = PlcOperation.sign(
    PlcData(
        rotation_keys=(_MODERATOR_KEY.did_key,),
        verification_methods={
            "atproto": _MODERATOR_KEY.did_key,
            "atproto_label": _LABEL_KEY.did_key,
        },
        also_known_as=("at://mod.example.com",),
        services={"atproto_labeler": PlcService("AtprotoLabeler", "https://mod.example.com")},
    ),
    prev=None,
    key=_MODERATOR_KEY,
)
MODERATION_SERVICE = {
    "PDS_MOD_SERVICE_URL": "https://mod.example.com",
    "PDS_MOD_SERVICE_DID": str(_MODERATOR.did()),
}
"""Settings that name the moderation service of `Moderator`."""


@dataclass(slots=True)
class Moderator:
    """The moderation service: a DID with a key for its account and one for its labels."""

    pds: Pds

    @classmethod
    def register(cls, pds: Pds) -> Moderator:
        """Make its DID in the PLC directory of the test."""
        pds.plc.append(_MODERATOR.did(), _MODERATOR)
        return cls(pds)

    def auth(
        self,
        lxm: str | None,
        *,
        as_labeler: bool = False,
        aud: str | None = None,
        expires_in_s: int = 60,
        key: PrivateKey | None = None,
    ) -> dict[str, str]:
        """The headers of a call of `lxm`, signed with `key` or the one that belongs there."""
        now_s = int(time.time())
        token = create_service_jwt(
            key or (_LABEL_KEY if as_labeler else _MODERATOR_KEY),
            iss=_MODERATOR.did() + ("#atproto_labeler" if as_labeler else ""),
            aud=aud or self.pds.ctx.settings.service_did,
            now_s=now_s,
            lxm=lxm,
            expires_at=now_s + expires_in_s,
        )
        return {"Authorization": f"Bearer {token}"}


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
