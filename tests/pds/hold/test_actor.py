"""The hold's actor: what the first start makes, and what later starts change."""

from __future__ import annotations

from typing import Any

import pytest

from pds.hold.hold import Hold
from pds.hold.records import CAPTAIN, CREW, PROFILE, SELF, crew_rkey
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON, OWNER


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON}


async def get(pds: Pds, collection: str, rkey: str = SELF) -> dict[str, Any]:
    reply = await pds.get(
        "com.atproto.repo.getRecord", repo=HOLD_DID, collection=collection, rkey=rkey
    )
    assert reply.status == 200, reply.json
    value: dict[str, Any] = reply.json["value"]
    return value


async def test_first(pds: Pds, hold: Hold) -> None:
    print(await get(pds, CAPTAIN))
    print(await get(pds, CREW, crew_rkey(OWNER)))
    print(await get(pds, PROFILE))
    r = await pds.request("GET", "/.well-known/did.json")
    print(r.status, r.json)
    print((await pds.get("com.atproto.repo.describeRepo", repo=HOLD_DID)).json)
    print((await pds.get("app.bsky.actor.getProfile", actor=HOLD_DID)).json)
    print((await pds.get("app.bsky.actor.getProfiles", actors=HOLD_DID)).json)
    print((await pds.get("app.bsky.actor.getProfile", actor="a.test")).json)
    import time
    from pds.hold.permissions import Permission

    t = time.perf_counter()
    for _ in range(5000):
        await hold.roster.check(OWNER, Permission.WRITE)
    print("captain", (time.perf_counter() - t) / 5000 * 1e6)
    from pds.hold.crew import Crew

    c = Crew(pds.ctx, hold.did, hold.roster)
    await c.add("did:plc:memberaaaaaaaaaaaaaaaaaa", permissions=[Permission.WRITE], role="m")
    t = time.perf_counter()
    for _ in range(5000):
        await hold.roster.check("did:plc:memberaaaaaaaaaaaaaaaaaa", Permission.WRITE)
    print("member", (time.perf_counter() - t) / 5000 * 1e6)
    assert 0
