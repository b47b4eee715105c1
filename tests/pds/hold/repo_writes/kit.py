"""Writing to the hold's repository: records, and the calls that write them."""

from __future__ import annotations

from typing import Any, Final

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, LAYER, STATS
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.callers import (
    Caller,
    enroll,
    unknown,
)
from tests.pds.hold.conftest import HOLD_DID

CREATE, PUT, DELETE, APPLY, UPLOAD = (
    f"com.atproto.repo.{name}"
    for name in ("createRecord", "putRecord", "deleteRecord", "applyWrites", "uploadBlob")
)
POST: Final = "app.bsky.feed.post"
TIME: Final = "2026-01-01T00:00:00.000Z"
ADMIN: Final = ["blob:read", "blob:write", "crew:admin"]
NEWCOMER: Final = unknown().did


SERVER_S_OWN: Final[dict[str, dict[str, Any]]] = {
    CAPTAIN: {
        "$type": CAPTAIN,
        "owner": NEWCOMER,
        "public": True,
        "allowAllCrew": True,
        "enableBlueskyPosts": False,
        "deployedAt": TIME,
    },
    STATS: {
        "$type": STATS,
        "ownerDid": NEWCOMER,
        "repository": "x",
        "pullCount": 1,
        "pushCount": 1,
        "updatedAt": TIME,
    },
    LAYER: {
        "$type": LAYER,
        "digest": "sha256:" + "0" * 64,
        "size": 1,
        "mediaType": "x",
        "manifest": f"at://{NEWCOMER}/io.atcr.manifest/0",
        "userDid": NEWCOMER,
        "createdAt": TIME,
    },
    "com.example.anything": {"$type": "com.example.anything"},
    "app.bsky.graph.follow": {
        "$type": "app.bsky.graph.follow",
        "subject": NEWCOMER,
        "createdAt": TIME,
    },
}


async def join(pds: Pds, hold: Hold, *permissions: Permission) -> Caller:
    """A new member of the crew."""
    caller = enroll(pds)
    await hold.crew.add(caller.did, permissions=permissions, role="member")
    return caller


def crew_record(did: str = NEWCOMER, **changes: Any) -> dict[str, Any]:
    return {
        "$type": CREW,
        "member": did,
        "role": "member",
        "permissions": ["blob:read"],
        "addedAt": TIME,
        **changes,
    }


def post(text: str = "hello") -> dict[str, Any]:
    return {"$type": POST, "text": text, "createdAt": TIME}


async def create(
    pds: Pds, who: Caller, record: dict[str, Any], rkey: str | None = None, **more: Any
) -> Reply:
    body = {"repo": HOLD_DID, "collection": record["$type"], "record": record, **more}
    return await who.call(pds, CREATE, body if rkey is None else {**body, "rkey": rkey})


async def put(pds: Pds, who: Caller, record: dict[str, Any], rkey: str) -> Reply:
    body = {"repo": HOLD_DID, "collection": record["$type"], "rkey": rkey, "record": record}
    return await who.call(pds, PUT, body)


async def delete(pds: Pds, who: Caller, collection: str, rkey: str) -> Reply:
    return await who.call(pds, DELETE, {"repo": HOLD_DID, "collection": collection, "rkey": rkey})


async def apply(pds: Pds, who: Caller, *writes: dict[str, Any]) -> Reply:
    return await who.call(pds, APPLY, {"repo": HOLD_DID, "writes": list(writes)})


def change(action: str, rkey: str, value: dict[str, Any] | None = None) -> dict[str, Any]:
    """An entry of applyWrites for a crew record."""
    more = {} if value is None else {"value": value}
    return {"$type": f"{APPLY}#{action}", "collection": CREW, "rkey": rkey, **more}


async def state(pds: Pds) -> str:
    """The commit of the hold's repository."""
    reply = await pds.get("com.atproto.sync.getLatestCommit", did=HOLD_DID)
    return str(reply.json["cid"])


async def permissions_of(hold: Hold, did: str) -> list[str] | None:
    found = await hold.roster.find(did)
    return None if found is None else sorted(found.permissions)
