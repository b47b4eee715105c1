"""A server that is a hold as well, at `did:web:localhost%3A2583`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from pds.hold.hold import HOLD, Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, SELF
from tests.pds.conftest import Pds, start_pds

OWNER: Final = "did:plc:captainaaaaaaaaaaaaaaaaa"
HOLD_DID: Final = "did:web:localhost%3A2583"
BOTH: Final = (Permission.READ, Permission.WRITE)
HOLD_ENVIRON: Final = {"PDS_HOLD_ENABLED": "true", "PDS_HOLD_OWNER": OWNER}
CAPTAIN_ELSEWHERE: Final = {
    "$type": CAPTAIN,
    "owner": OWNER,
    "public": False,
    "allowAllCrew": False,
    "enableBlueskyPosts": False,
    "deployedAt": "2025-01-01T00:00:00Z",
    "provider": "fly.io",
}
"""The captain record of another hold, which moves here."""


@pytest.fixture
def hold(pds: Pds) -> Hold:
    """The hold of the server `pds`, whose module makes `pds_environ` of `HOLD_ENVIRON`."""
    return pds.app[HOLD]


@pytest.fixture
def first_check(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once somebody was let in. A client may send all of a body before the server looks."""
    checked, check = asyncio.Event(), hold.roster.check

    async def note(caller: str | None, wanted: Permission) -> None:
        await check(caller, wanted)
        checked.set()

    monkeypatch.setattr(hold.roster, "check", note)
    return checked


@asynccontextmanager
async def started(data: Path, **changes: str) -> AsyncIterator[Pds]:
    """A hold on `data`, stopped at the end of the block."""
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, data, {**HOLD_ENVIRON, **changes})


async def record(pds: Pds, collection: str, rkey: str = SELF, *, did: str = HOLD_DID) -> Any:
    """A record of the hold as anybody reads it."""
    reply = await pds.get("com.atproto.repo.getRecord", repo=did, collection=collection, rkey=rkey)
    assert reply.status == 200, reply.json
    return reply.json["value"]
