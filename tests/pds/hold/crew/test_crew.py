"""Changing the crew: one commit a change, and nothing lost that others have written."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest

from pds.hold.crew.crew import CaptainStays, Crew, MemberTakendown, MemberUnknown
from pds.hold.crew.roster import Roster
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, SELF, crew_rkey
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.hold.conftest import BOTH

CAPTAIN_DID: Final = Did("did:plc:captainaaaaaaaaaaaaaaaaa")
MEMBER: Final = Did("did:plc:memberaaaaaaaaaaaaaaaaaa")


@pytest.fixture
async def crew(pds: Pds, alice: Account) -> Crew:
    """The crew of a hold whose records are in the repository of alice."""
    captain = {
        "owner": CAPTAIN_DID,
        "public": False,
        "allowAllCrew": False,
        "enableBlueskyPosts": False,
        "deployedAt": "2026-01-01T00:00:00.000Z",
    }
    await pds.create_record(alice, CAPTAIN, captain, rkey=SELF, validate=False)
    did = Did(alice.did)
    return Crew(pds.ctx, did, Roster(pds.ctx.actor_store, did))


async def records_of(pds: Pds, alice: Account) -> dict[str, Any]:
    reply = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=CREW)
    return {each["uri"].rpartition("/")[2]: each["value"] for each in reply.json["records"]}


async def rev_of(pds: Pds, alice: Account) -> str:
    reply = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    return str(reply.json["rev"])


async def put_member(pds: Pds, alice: Account, rkey: str, **more: Any) -> None:
    record = {
        "member": MEMBER,
        "role": "member",
        "permissions": ["blob:read"],
        "addedAt": "2026-01-01T00:00:00.000Z",
        **more,
    }
    await pds.create_record(alice, CREW, record, rkey=rkey, validate=False)


async def test_who_joins_while_an_admin_writes_their_record_gets_no_second_one(
    pds: Pds, alice: Account, crew: Crew
) -> None:
    async with crew.adding:  # As the methods of the repository hold it.
        joining = asyncio.create_task(crew.add(MEMBER, permissions=BOTH, role="member"))
        await asyncio.sleep(0)
        await put_member(pds, alice, "other")
    assert (await joining).change == "unchanged"
    assert set(await records_of(pds, alice)) == {"other"}


async def test_an_added_member_has_a_record_at_the_key_of_this_server(
    pds: Pds, alice: Account, crew: Crew
) -> None:
    added = await crew.add(MEMBER, permissions=BOTH, role="member", tier="bosun")

    assert added.change == "created"
    assert added.uri == f"at://{alice.did}/{CREW}/{crew_rkey(MEMBER)}"
    stored = (await records_of(pds, alice))[crew_rkey(MEMBER)]
    assert stored.pop("addedAt") == added.member.added_at
    assert stored == {
        "$type": CREW,
        "member": MEMBER,
        "role": "member",
        "permissions": ["blob:read", "blob:write"],
        "tier": "bosun",
    }


async def test_adding_a_member_again_changes_nothing(pds: Pds, alice: Account, crew: Crew) -> None:
    first = await crew.add(MEMBER, permissions=BOTH, role="member")
    rev = await rev_of(pds, alice)

    again = await crew.add(MEMBER, permissions=(Permission.ADMIN,), role="admin")

    assert (again.change, again.cid) == ("unchanged", first.cid)
    assert again.member.permissions == frozenset(BOTH)
    assert await rev_of(pds, alice) == rev


async def test_a_member_at_a_key_of_another_program_is_found_and_keeps_unknown_fields(
    pds: Pds, alice: Account, crew: Crew
) -> None:
    unknown = {"badge": {"$link": "bafyreihffx5a2e7k5uwrmmgofbvzujc5cmw5h4espouwuxt3liqoflx3ee"}}
    permissions = ["blob:read", "scan:run"]
    await put_member(pds, alice, "elsewhere", permissions=permissions, tier="old", **unknown)

    updated = await crew.update(MEMBER, permissions=(Permission.WRITE,), role="write", tier=None)

    assert updated.change == "updated"
    stored = await records_of(pds, alice)
    assert stored.keys() == {"elsewhere"}
    assert stored["elsewhere"] == {
        "$type": CREW,
        "member": MEMBER,
        "role": "write",
        "permissions": ["blob:write", "scan:run"],
        "addedAt": "2026-01-01T00:00:00.000Z",
        **unknown,
    }


async def test_what_is_not_given_stays(crew: Crew) -> None:
    await crew.add(MEMBER, permissions=BOTH, role="member", tier="bosun")

    updated = await crew.update(MEMBER, role="friend")

    assert updated.member.permissions == frozenset(BOTH)
    assert (updated.member.role, updated.member.tier) == ("friend", "bosun")


async def test_a_key_taken_by_another_member_is_not_overwritten(
    pds: Pds, alice: Account, crew: Crew
) -> None:
    other = "did:plc:otheraaaaaaaaaaaaaaaaaaa"
    await put_member(pds, alice, crew_rkey(MEMBER), member=other)

    added = await crew.add(MEMBER, permissions=BOTH, role="member")

    members = {rkey: each["member"] for rkey, each in (await records_of(pds, alice)).items()}
    assert members == {crew_rkey(MEMBER): other, added.member.rkey: MEMBER}


async def test_removing_deletes_every_record_of_the_member(
    pds: Pds, alice: Account, crew: Crew
) -> None:
    await crew.add(MEMBER, permissions=BOTH, role="member")
    await put_member(pds, alice, "elsewhere")

    await crew.remove(MEMBER)

    assert await records_of(pds, alice) == {}
    with pytest.raises(MemberUnknown):
        await crew.remove(MEMBER)
    with pytest.raises(MemberUnknown):
        await crew.update(MEMBER, role="admin")


async def test_the_captain_stays(pds: Pds, alice: Account, crew: Crew) -> None:
    await crew.add(CAPTAIN_DID, permissions=tuple(Permission), role="owner")

    with pytest.raises(CaptainStays):
        await crew.remove(CAPTAIN_DID)

    assert len(await records_of(pds, alice)) == 1


async def test_a_member_whose_record_is_taken_down_cannot_come_back_alone(
    pds: Pds, crew: Crew
) -> None:
    added = await crew.add(MEMBER, permissions=BOTH, role="member")
    subject = {
        "$type": "com.atproto.repo.strongRef",
        "uri": added.uri,
        "cid": added.cid,
    }
    body = {"subject": subject, "takedown": {"applied": True}}
    reply = await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200

    with pytest.raises(MemberTakendown):
        await crew.add(MEMBER, permissions=BOTH, role="member")
