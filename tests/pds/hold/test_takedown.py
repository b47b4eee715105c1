"""A hold whose actor the operator has taken down serves nobody, until that is reversed."""

from __future__ import annotations

from typing import Any, Final

import pytest

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CREW
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON
from tests.pds.hold.pushing import manifest
from tests.pds.hold.registry import IMAGE_OWNER, Registry, digest_of, member, registry_for

OTHER: Final = "did:plc:otheraaaaaaaaaaaaaaaaaaa"
REFUSED: Final = (400, "RepoTakendown")


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return HOLD_ENVIRON | {
        "PDS_PORT": "2583",
        "PDS_HOLD_PUBLIC": "true",
        "PDS_HOLD_ALLOW_ALL_CREW": "true",
    }


@pytest.fixture
async def admin(pds: Pds, hold: Hold, alice: Account) -> Registry:
    """alice, who may do everything that a member may."""
    return await member(pds, hold, alice, tuple(Permission))


async def take_down(pds: Pds, *, applied: bool) -> None:
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": HOLD_DID}
    body = {"subject": subject, "takedown": {"applied": applied}}
    reply = await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200, reply.body


async def add_member(pds: Pds, auth: Any) -> Reply:
    record = {
        "member": OTHER,
        "role": "member",
        "permissions": ["blob:read"],
        "addedAt": "2026-01-01T00:00:00.000Z",
    }
    body = {"repo": HOLD_DID, "collection": CREW, "record": record}
    return await pds.post("com.atproto.repo.createRecord", body, auth)


async def test_nothing_is_uploaded_changed_or_read(
    pds: Pds, hold: Hold, admin: Registry, alice: Account, bob: Account
) -> None:
    digest = await admin.push(b"layer")
    newcomer = await registry_for(pds, hold, bob)
    upload_id = await admin.begin()
    part = await admin.send(upload_id, 1, b"more")
    await take_down(pds, applied=True)

    upload: dict[str, Any] = {"uploadId": upload_id}
    notice = {"repository": "app", "userDid": alice.did, "manifestDigest": digest}
    replies = [
        await admin.call("initiateUpload", digest="uploads/temp-1"),
        await admin.call("getPartUploadUrl", **upload, partNumber=2),
        await admin.call("completeUpload", **upload, digest=digest_of(b"more"), parts=[part]),
        await admin.call("abortUpload", **upload),
        await admin.call("notifyManifest", **notice, manifest=manifest()),
        await admin.call("notifyManifest", **notice, operation="pull", manifest={}),
        await newcomer.call("requestCrew", role="member"),
        await admin.call("deleteUserData"),
        await pds.get("io.atcr.hold.getQuota", userDid=alice.did),
        await pds.get("io.atcr.hold.listStats", did=IMAGE_OWNER),
        await admin.ask(digest),
        await Registry(pds, hold, {}).ask(digest),
        await add_member(pds, admin.auth),
    ]
    assert [reply.error for reply in replies] == [REFUSED] * len(replies)
    page = await pds.request("GET", "/hold")
    assert b"This hold is taken down." in page.body
    assert HOLD_DID.encode() not in page.body

    await take_down(pds, applied=False)
    assert await admin.fetch(digest) == b"layer"
    assert await hold.roster.find(bob.did) is None
    assert await hold.roster.find(OTHER) is None
    done = await admin.call("completeUpload", **upload, digest=digest_of(b"more"), parts=[part])
    assert done.status == 200, "the upload was not aborted"
    assert (await add_member(pds, admin.auth)).status == 200


async def test_the_operator_still_changes_the_crew(pds: Pds, hold: Hold) -> None:
    await take_down(pds, applied=True)
    route = f"/_holdfast/hold/crew/{OTHER}"
    assert (await pds.request("PUT", route, headers=pds.admin, json={})).status == 200
    assert await hold.roster.find(Did(OTHER)) is not None
