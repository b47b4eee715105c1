"""Writes to the hold's repository: what the captain and crew admins may write."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, PROFILE, SELF, crew_rkey
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from tests.pds.conftest import Pds
from tests.pds.hold.callers import (
    CAPTAIN_DID,
    Caller,
    unknown,
)
from tests.pds.hold.conftest import HOLD_DID
from tests.pds.hold.repo_writes.kit import (
    ADMIN,
    APPLY,
    NEWCOMER,
    SERVER_S_OWN,
    apply,
    change,
    create,
    crew_record,
    delete,
    join,
    permissions_of,
    post,
    put,
    state,
)


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


async def test_the_server_s_own_records_are_nobody_s_to_write(pds: Pds, writer: Caller) -> None:
    before = await state(pds)
    for collection, value in SERVER_S_OWN.items():
        rkey = SELF if collection == CAPTAIN else "3jzfcijpj2z2a"
        entry = {"$type": f"{APPLY}#create", "collection": collection, "rkey": rkey, "value": value}
        replies = [
            await put(pds, writer, value, rkey),
            await apply(pds, writer, entry),
            await apply(pds, writer, change("create", "new", crew_record()), entry),
        ]
        if collection != CAPTAIN:
            replies.append(await create(pds, writer, value))
        assert {reply.status for reply in replies} <= {400, 403}, collection
        assert replies[0].error[0] == 403 or collection.startswith("com.example")
        assert await state(pds) == before, collection


async def test_the_captain_stays(pds: Pds, writer: Caller) -> None:
    before, rkey = await state(pds), crew_rkey(CAPTAIN_DID)
    refusals = [
        await delete(pds, writer, CAPTAIN, SELF),
        await delete(pds, writer, CREW, rkey),
        await apply(pds, writer, change("delete", rkey)),
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


async def test_crew_records_are_checked_whatever_the_client_says(pds: Pds, captain: Caller) -> None:
    before = await state(pds)
    for name, changes in BAD_RECORDS.items():
        record = crew_record(**changes)
        replies = [
            await create(pds, captain, record),
            await create(pds, captain, record, validate=False),
            await put(pds, captain, record, "some-key"),
            await apply(pds, captain, change("create", "some-key", record)),
        ]
        assert [reply.status for reply in replies] == [400] * 4, name
        assert {reply.error for reply in replies} == {(400, "InvalidRequest")}, name
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


async def test_more_writes_than_fit_a_commit_are_refused_at_once(pds: Pds, admin: Caller) -> None:
    writes = [change("create", f"k{number}", crew_record()) for number in range(201)]
    reply = await apply(pds, admin, *writes)
    assert reply.error == (400, "InvalidRequest")
    assert "Too many writes" in reply.json["message"]


@pytest.mark.parametrize("rkey", [None, "any-key"])
async def test_admins_do_not_bring_back_who_was_taken_down(
    pds: Pds, hold: Hold, admin: Caller, rkey: str | None
) -> None:
    made = (await create(pds, admin, crew_record(), rkey)).json
    subject = {"$type": "com.atproto.repo.strongRef", "uri": made["uri"], "cid": made["cid"]}
    body = {"subject": subject, "takedown": {"applied": True}}
    reply = await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200
    for key in (None, "any-key", "another-key"):
        assert (await create(pds, admin, crew_record(), key)).error == (403, "Forbidden")
    writes = [
        change("delete", made["uri"].rpartition("/")[2]),
        change("create", "x", crew_record()),
    ]
    assert (await apply(pds, admin, *writes)).error == (403, "Forbidden")
    assert await permissions_of(hold, NEWCOMER) is None
