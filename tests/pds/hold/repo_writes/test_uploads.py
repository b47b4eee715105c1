"""Blobs of the hold's repository, which are not those of images."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import PROFILE, SELF
from pds.service_auth.jwt import create_service_jwt
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.callers import (
    Caller,
    bearer,
    enroll,
)
from tests.pds.hold.conftest import HOLD_DID
from tests.pds.hold.repo_writes.kit import (
    UPLOAD,
    put,
)


async def upload(pds: Pds, headers: dict[str, str], data: bytes = b"hello") -> Reply:
    return await pds.request(
        "POST", f"/xrpc/{UPLOAD}", headers={**headers, "Content-Type": "text/plain"}, data=data
    )


async def test_an_admin_uploads_a_picture_for_the_profile(
    pds: Pds, hold: Hold, admin: Caller, captain: Caller
) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
    uploaded = await pds.request(
        "POST",
        f"/xrpc/{UPLOAD}",
        headers={**admin.bearer(), "Content-Type": "image/png"},
        data=picture,
    )
    assert uploaded.status == 200
    profile = {"$type": PROFILE, "displayName": "A hold", "avatar": uploaded.json["blob"]}
    assert (await put(pds, captain, profile, SELF)).status == 200
    cid = uploaded.json["blob"]["ref"]["$link"]
    assert (await pds.get("com.atproto.sync.getBlob", did=HOLD_DID, cid=cid)).body == picture


async def test_others_upload_nothing(pds: Pds, member: Caller) -> None:
    assert (await upload(pds, member.bearer())).error == (403, "Forbidden")
    assert (await upload(pds, enroll(pds).bearer(lxm=UPLOAD))).error == (403, "Forbidden")
    assert (await upload(pds, member.bearer(exp=1))).error == (401, "ExpiredToken")
    assert (await upload(pds, {})).error == (401, "AuthMissing")


async def test_an_admin_removed_during_an_upload_leaves_no_blob(
    pds: Pds, hold: Hold, admin: Caller, first_check: asyncio.Event
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        await first_check.wait()
        await hold.crew.remove(admin.did)
        yield b"and half"

    headers = {**admin.bearer(), "Content-Type": "text/plain"}
    reply = await pds.request("POST", f"/xrpc/{UPLOAD}", headers=headers, data=body())
    assert reply.error == (403, "Forbidden")
    assert await pds.ctx.actor_store.read(HOLD_DID, lambda actor: actor.blob.count()) == 0


async def test_accounts_of_the_server_upload_to_their_own_repository(
    pds: Pds, hold: Hold, alice: Account
) -> None:
    await hold.crew.add(Did(alice.did), permissions=[Permission.ADMIN], role="admin")
    assert (await pds.upload(alice, b"by session", "text/plain")).status == 200
    own = create_service_jwt(
        pds.ctx.actor_store.key(alice.did),
        iss=alice.did,
        aud=pds.ctx.settings.service_did,
        now_s=int(time.time()),
        lxm=UPLOAD,
    )
    assert (await upload(pds, bearer(own), b"by token")).status == 200
    of_hold = Caller(Did(alice.did), pds.ctx.actor_store.key(alice.did))
    assert (await upload(pds, of_hold.bearer(), b"for the hold")).status == 200
    count = [
        await pds.ctx.actor_store.read(did, lambda actor: actor.blob.count())
        for did in (alice.did, HOLD_DID)
    ]
    assert count == [2, 1]
