"""Writes to the hold's repository: what the captain and crew admins may write, and nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import pytest

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, LAYER, PROFILE, SELF, STATS, crew_rkey
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from pds.service_auth.jwt import create_service_jwt
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.callers import (
    CAPTAIN_DID,
    CAPTAIN_ENVIRON,
    Caller,
    bearer,
    enroll,
    enroll_captain,
    unknown,
)
from tests.pds.hold.conftest import HOLD_DID

CREATE, PUT, DELETE, APPLY, UPLOAD = (
    f"com.atproto.repo.{name}"
    for name in ("createRecord", "putRecord", "deleteRecord", "applyWrites", "uploadBlob")
)
POST: Final = "app.bsky.feed.post"
TIME: Final = "2026-01-01T00:00:00.000Z"
BOTH: Final = (Permission.READ, Permission.WRITE)
ADMIN: Final = ["blob:read", "blob:write", "crew:admin"]
NEWCOMER: Final = unknown().did


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(CAPTAIN_ENVIRON)


@pytest.fixture
def captain(pds: Pds) -> Caller:
    return enroll_captain(pds)


@pytest.fixture
async def admin(pds: Pds, hold: Hold) -> Caller:
    return await join(pds, hold, *BOTH, Permission.ADMIN)


@pytest.fixture
async def member(pds: Pds, hold: Hold) -> Caller:
    return await join(pds, hold, *BOTH)


@pytest.fixture(params=["captain", "admin"])
async def writer(request: pytest.FixtureRequest, pds: Pds, hold: Hold) -> Caller:
    """Who may write to the hold's repository."""
    if request.param == "captain":
        return enroll_captain(pds)
    return await join(pds, hold, *BOTH, Permission.ADMIN)


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


# --- What may be written


async def test_captain_and_admins_write_crew_profile_and_posts(
    pds: Pds, hold: Hold, writer: Caller
) -> None:
    who = writer
    added = await create(pds, who, crew_record())
    assert added.status == 200
    assert added.json["uri"] == f"at://{HOLD_DID}/{CREW}/{crew_rkey(NEWCOMER)}"
    assert added.json["validationStatus"] == "valid"
    assert await permissions_of(hold, NEWCOMER) == ["blob:read"]
    writing = crew_record(permissions=["blob:write"])
    assert (await put(pds, who, writing, crew_rkey(NEWCOMER))).status == 200
    assert await permissions_of(hold, NEWCOMER) == ["blob:write"]
    assert (await put(pds, who, {"$type": PROFILE, "displayName": "A hold"}, SELF)).status == 200
    assert (await create(pds, who, post())).status == 200
    assert (await delete(pds, who, CREW, crew_rkey(NEWCOMER))).status == 200
    assert await permissions_of(hold, NEWCOMER) is None


async def test_several_members_join_in_one_commit(pds: Pds, hold: Hold, admin: Caller) -> None:
    dids = [unknown().did for _ in range(3)]
    writes = [change("create", crew_rkey(did), crew_record(did)) for did in dids]
    reply = await apply(pds, admin, *writes)
    assert reply.status == 200
    assert len(reply.json["results"]) == 3
    for did in dids:
        assert await permissions_of(hold, did) == ["blob:read"]


async def test_a_member_may_have_a_record_under_any_key(
    pds: Pds, hold: Hold, admin: Caller
) -> None:
    assert (await create(pds, admin, crew_record(), "any-key")).status == 200
    assert await permissions_of(hold, NEWCOMER) == ["blob:read"]


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


@pytest.mark.parametrize("collection", SERVER_S_OWN)
async def test_the_server_s_own_records_are_nobody_s_to_write(
    pds: Pds, writer: Caller, collection: str
) -> None:
    who = writer
    before, value = await state(pds), SERVER_S_OWN[collection]
    rkey = SELF if collection == CAPTAIN else "3jzfcijpj2z2a"
    entry = {"$type": f"{APPLY}#create", "collection": collection, "rkey": rkey, "value": value}
    replies = [
        await put(pds, who, value, rkey),
        await apply(pds, who, entry),
        await apply(pds, who, change("create", "new", crew_record()), entry),
    ]
    if collection != CAPTAIN:
        replies.append(await create(pds, who, value))
    assert {reply.status for reply in replies} <= {400, 403}
    assert replies[0].error[0] == 403 or collection.startswith("com.example")
    assert await state(pds) == before


async def test_the_captain_stays(pds: Pds, writer: Caller) -> None:
    who = writer
    before, rkey = await state(pds), crew_rkey(CAPTAIN_DID)
    refusals = [
        await delete(pds, who, CAPTAIN, SELF),
        await delete(pds, who, CREW, rkey),
        await apply(pds, who, change("delete", rkey)),
    ]
    assert {reply.error for reply in refusals} == {(403, "Forbidden")}
    assert await state(pds) == before


BAD_RECORDS: Final[dict[str, dict[str, Any]]] = {
    "no DID": {"member": "alice.test"},
    "no member": {"member": None},
    "an unknown permission": {"permissions": ["blob:read", "blob:everything"]},
    "permissions that are no list": {"permissions": "blob:read"},
    "no time": {"addedAt": "yesterday"},
    "a long role": {"role": "x" * 33},
    "a long tier": {"tier": "x" * 33},
}


@pytest.mark.parametrize("name", BAD_RECORDS)
async def test_crew_records_are_checked_whatever_the_client_says(
    pds: Pds, captain: Caller, name: str
) -> None:
    before = await state(pds)
    record = crew_record(**BAD_RECORDS[name])
    replies = [
        await create(pds, captain, record),
        await create(pds, captain, record, validate=False),
        await put(pds, captain, record, "some-key"),
        await apply(pds, captain, change("create", "some-key", record)),
    ]
    assert {reply.error for reply in replies} == {(400, "InvalidRequest")}
    assert await state(pds) == before


async def test_a_member_has_one_record(pds: Pds, hold: Hold, admin: Caller) -> None:
    """A second one would overrule the first, which the captain may have written."""
    other_admin = await join(pds, hold, Permission.ADMIN)
    before = await state(pds)
    shadow = crew_record(other_admin.did, permissions=[])
    replies = [
        await create(pds, admin, shadow, "shadow"),
        await create(pds, admin, crew_record(CAPTAIN_DID), "shadow"),
        await put(pds, admin, shadow, "shadow"),
        await apply(
            pds, admin, change("create", "a", crew_record()), change("create", "b", crew_record())
        ),
    ]
    assert {reply.error for reply in replies} == {(400, "InvalidRequest")}
    assert (await create(pds, admin, shadow)).error == (403, "Forbidden")
    mine = crew_record(admin.did, permissions=ADMIN)
    assert (await create(pds, admin, mine)).error == (400, "RecordAlreadyExists")
    assert await state(pds) == before


async def test_records_under_several_keys_at_once_are_not_both_made(
    pds: Pds, admin: Caller
) -> None:
    replies = await asyncio.gather(
        *(create(pds, admin, crew_record(), f"key-{number}") for number in range(5))
    )
    assert sorted(reply.status for reply in replies) == [200] + [400] * 4


async def test_a_record_stays_about_its_member(pds: Pds, admin: Caller, member: Caller) -> None:
    reply = await put(pds, admin, crew_record(NEWCOMER), crew_rkey(member.did))
    assert reply.error == (400, "InvalidRequest")


async def test_permissions_that_others_have_stored_may_stay(
    pds: Pds, hold: Hold, admin: Caller, member: Caller
) -> None:
    from_elsewhere = crew_record(member.did, permissions=["blob:read", "blob:scan"])
    await write_unchecked(pds, hold, from_elsewhere)
    changed = {**from_elsewhere, "role": "reader"}
    assert (await put(pds, admin, changed, crew_rkey(member.did))).status == 200


async def write_unchecked(pds: Pds, hold: Hold, record: dict[str, Any]) -> None:
    rkey = crew_rkey(record["member"])
    write = prepare_write(pds.ctx.lexicons, "update", CREW, rkey, record, validate=False)
    await commit(pds.ctx, hold.did, lambda _: [write])


# --- Who grants crew:admin


def grants(member: str, admin: str) -> list[tuple[str, Callable[[Pds, Caller], Any]]]:
    """Ways to give or take crew:admin."""
    raised = crew_record(member, permissions=ADMIN)
    lowered = crew_record(admin, permissions=["blob:read"])
    new = crew_record(NEWCOMER, permissions=ADMIN)
    return [
        ("raise a member", lambda pds, who: put(pds, who, raised, crew_rkey(member))),
        ("raise in a batch", lambda p, w: apply(p, w, change("update", crew_rkey(member), raised))),
        ("add an admin", lambda pds, who: create(pds, who, new)),
        ("lower an admin", lambda pds, who: put(pds, who, lowered, crew_rkey(admin))),
        ("remove an admin", lambda pds, who: delete(pds, who, CREW, crew_rkey(admin))),
        (
            "remove one in a batch",
            lambda pds, who: apply(
                pds,
                who,
                change("create", crew_rkey(NEWCOMER), crew_record()),
                change("delete", crew_rkey(admin)),
            ),
        ),
    ]


@pytest.mark.parametrize("index", range(6))
async def test_only_the_captain_grants_and_takes_away_admin(
    pds: Pds, hold: Hold, captain: Caller, admin: Caller, member: Caller, index: int
) -> None:
    other = await join(pds, hold, Permission.ADMIN)
    _, attempt = grants(member.did, other.did)[index]
    before = await state(pds)
    assert (await attempt(pds, admin)).error == (403, "Forbidden")
    assert (await attempt(pds, member)).error == (403, "Forbidden")
    assert await state(pds) == before
    assert (await attempt(pds, captain)).status == 200
    assert await state(pds) != before


async def test_an_admin_does_not_become_captain(pds: Pds, hold: Hold, admin: Caller) -> None:
    captaincy = {**SERVER_S_OWN[CAPTAIN], "owner": admin.did}
    assert (await put(pds, admin, captaincy, SELF)).error == (403, "Forbidden")
    owner = crew_record(admin.did, role="owner", permissions=ADMIN)
    assert (await put(pds, admin, owner, crew_rkey(admin.did))).status == 200
    # The role says nothing: the captain is whom the captain record names.
    assert (await hold.roster.captain()).owner == CAPTAIN_DID
    assert (await delete(pds, admin, CREW, crew_rkey(CAPTAIN_DID))).error == (403, "Forbidden")


# --- Who may write


async def test_others_are_refused_in_the_words_of_the_protocol(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    reader = await join(pds, hold, Permission.READ)
    before = await state(pds)
    reasons = [
        (member, "crew member lacks permission"),
        (reader, "crew member lacks permission"),
        (enroll(pds), "user is not a crew member"),
    ]
    for who, reason in reasons:
        for reply in (
            await create(pds, who, crew_record(who.did, permissions=ADMIN)),
            await put(pds, who, crew_record(who.did, permissions=ADMIN), crew_rkey(who.did)),
            await delete(pds, who, POST, "x"),
            await apply(pds, who),
        ):
            assert reply.error == (403, "Forbidden")
            assert reply.json["message"] == (
                f"access denied for crew:admin: {reason} (required: crew:admin)"
            )
    assert await state(pds) == before


async def test_a_token_for_the_hold_writes_to_no_other_repository(
    pds: Pds, captain: Caller, alice: Account
) -> None:
    body = {"repo": alice.did, "collection": POST, "record": post()}
    assert (await captain.call(pds, CREATE, body)).error == (400, "InvalidRequest")


async def test_without_a_valid_token_nothing_is_written(pds: Pds, captain: Caller) -> None:
    before = await state(pds)
    body = {"repo": HOLD_DID, "collection": POST, "record": post()}
    assert (await pds.post(CREATE, body)).error == (401, "AuthMissing")
    expired = captain.bearer(exp=1)
    assert (await pds.post(CREATE, body, expired)).error == (401, "ExpiredToken")
    forged = captain.bearer(key_=unknown().key)
    assert (await pds.post(CREATE, body, forged)).error == (401, "BadJwtSignature")
    assert (await pds.post(CREATE, body, bearer("x.y.z"))).error == (400, "InvalidToken")
    assert await state(pds) == before


async def test_a_removed_admin_writes_nothing_more_with_the_same_token(
    pds: Pds, hold: Hold, captain: Caller, admin: Caller
) -> None:
    assert (await create(pds, admin, post())).status == 200
    await hold.crew.remove(admin.did)
    assert (await create(pds, admin, post())).error == (403, "Forbidden")
    assert (await create(pds, captain, crew_record(admin.did, permissions=ADMIN))).status == 200
    assert (await create(pds, admin, post())).status == 200


class WatchedLock(asyncio.Lock):
    """A lock that tells when somebody asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def acquire(self) -> Literal[True]:
        self.asked.set()
        return await super().acquire()


async def test_an_admin_removed_while_a_write_waits_is_refused(
    pds: Pds, hold: Hold, admin: Caller
) -> None:
    hold.writing = lock = WatchedLock()
    await asyncio.Lock.acquire(lock)
    # It waits for the lock after it was found to come from an admin.
    waiting = asyncio.create_task(create(pds, admin, post()))
    await lock.asked.wait()
    await hold.crew.remove(admin.did)
    lock.release()
    assert (await waiting).error == (403, "Forbidden")


# --- Beside the accounts of the server


async def test_accounts_of_the_server_write_as_on_any_server(pds: Pds, alice: Account) -> None:
    created = await pds.create_record(alice, "com.example.thing", {"x": 1}, validate=False)
    assert created["uri"].startswith(f"at://{alice.did}/com.example.thing/")
    body = {"repo": HOLD_DID, "collection": POST, "record": post()}
    refused = await pds.post(CREATE, body, alice.auth)
    assert refused.error == (401, "AuthenticationRequired")


async def test_a_captain_with_an_account_here_writes_to_both(
    pds: Pds, hold: Hold, alice: Account
) -> None:
    await hold.crew.add(Did(alice.did), permissions=[Permission.ADMIN], role="admin")
    key = pds.ctx.actor_store.key(alice.did)
    token = Caller(Did(alice.did), key)
    assert (await create(pds, token, post())).status == 200
    assert (await pds.post_text(alice))["uri"].startswith(f"at://{alice.did}/")


# --- uploadBlob


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
