"""io.atcr.hold.requestCrew: who becomes a member, and with which permissions."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any, Final

import pytest

from actor_store.writes import PreparedWrite
from database.timestamps import now_iso
from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, SELF, crew_rkey, crew_value
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from tests.pds.conftest import Pds
from tests.pds.hold.callers import CAPTAIN_ENVIRON, enroll, enroll_captain
from tests.pds.hold.conftest import HOLD_DID

REQUEST_CREW: Final = "io.atcr.hold.requestCrew"
BOTH: Final = ["blob:read", "blob:write"]


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**CAPTAIN_ENVIRON, "PDS_HOLD_ALLOW_ALL_CREW": "true"}


async def crew(pds: Pds) -> dict[str, dict[str, Any]]:
    """The crew records, by member."""
    reply = await pds.get("com.atproto.repo.listRecords", repo=HOLD_DID, collection=CREW, limit=100)
    records = [each["value"] for each in reply.json["records"]]
    assert len({record["member"] for record in records}) == len(records)
    return {record["member"]: record for record in records}


async def test_a_stranger_becomes_a_member_once(pds: Pds) -> None:
    caller = enroll(pds)
    first = await caller.call(pds, REQUEST_CREW, {})
    again = await caller.call(pds, REQUEST_CREW, {"role": "other", "permissions": ["blob:read"]})
    assert (first.status, first.json["status"]) == (201, "created")
    assert (again.status, again.json["status"]) == (200, "already_member")
    assert (again.json["uri"], again.json["cid"]) == (first.json["uri"], first.json["cid"])
    record = (await crew(pds))[caller.did]
    assert record.pop("addedAt")
    assert record == {
        "$type": CREW,
        "member": caller.did,
        "role": "member",
        "permissions": BOTH,
    }


async def test_the_answer_has_the_headers_of_all_answers(pds: Pds) -> None:
    reply = await enroll(pds).call(pds, REQUEST_CREW, {})
    assert reply.status == 201
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Cache-Control"] == "private"


async def test_a_body_may_be_absent(pds: Pds) -> None:
    for named, data in product(({}, {"Content-Type": "application/json"}), (None, b"")):
        headers = {**named, **enroll(pds).bearer()}
        reply = await pds.request("POST", f"/xrpc/{REQUEST_CREW}", headers=headers, data=data)
        assert reply.status == 201, (named, data)


async def test_a_body_that_is_there_is_checked(pds: Pds) -> None:
    auth = enroll(pds).bearer()
    bad: list[Any] = [
        [],
        {"role": 5},
        {"role": "x" * 33},
        {"permissions": "blob:read"},
        {"permissions": ["x" * 65]},
        {"permissions": ["blob:read"] * 17},
    ]
    for body in bad:
        assert (await pds.post(REQUEST_CREW, body, auth)).error == (400, "InvalidRequest")
    reply = await pds.request(
        "POST",
        f"/xrpc/{REQUEST_CREW}",
        headers={**auth, "Content-Type": "text/plain"},
        data=b"hello",
    )
    assert reply.error == (400, "InvalidRequest")
    assert len(await crew(pds)) == 1


ASKED: Final[list[tuple[dict[str, Any], tuple[str, list[str]]]]] = [
    ({"permissions": ["blob:read"]}, ("member", ["blob:read"])),
    ({"permissions": ["blob:write"], "role": "write"}, ("write", ["blob:write"])),
    ({"permissions": ["crew:admin", "blob:read"]}, ("member", ["blob:read"])),
    ({"permissions": ["crew:admin"]}, ("member", BOTH)),
    ({"permissions": []}, ("member", BOTH)),
    ({"permissions": ["*", "blob:*", "CREW:ADMIN"]}, ("member", BOTH)),
    ({"role": "owner"}, ("member", BOTH)),
    ({"role": "admin", "permissions": [*BOTH, "crew:admin"]}, ("member", BOTH)),
]


async def test_nobody_joins_with_more_than_reading_and_writing(pds: Pds) -> None:
    for body, given in ASKED:
        caller = enroll(pds)
        assert (await caller.call(pds, REQUEST_CREW, body)).status == 201
        record = (await crew(pds))[caller.did]
        assert (record["role"], record["permissions"]) == given, body


async def test_the_captain_is_a_member_already(pds: Pds) -> None:
    reply = await enroll_captain(pds).call(pds, REQUEST_CREW)
    assert (reply.status, reply.json["status"]) == (200, "already_member")


async def test_requests_at_once_make_one_record(pds: Pds) -> None:
    caller = enroll(pds)
    replies = await asyncio.gather(*(caller.call(pds, REQUEST_CREW) for _ in range(10)))
    assert sorted(reply.status for reply in replies) == [200] * 9 + [201]
    assert len({reply.json["uri"] for reply in replies}) == 1
    assert set(await crew(pds)) == {caller.did, CAPTAIN_ENVIRON["PDS_HOLD_OWNER"]}


async def test_many_strangers_at_once_all_become_members(pds: Pds) -> None:
    callers = [enroll(pds) for _ in range(12)]
    replies = await asyncio.gather(*(caller.call(pds, REQUEST_CREW) for caller in callers))
    assert {reply.status for reply in replies} == {201}
    assert {caller.did for caller in callers} < set(await crew(pds))


class TestClosed:
    """A hold that takes no new members."""

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return dict(CAPTAIN_ENVIRON)

    async def test_a_stranger_is_refused_and_nothing_is_written(self, pds: Pds) -> None:
        reply = await enroll(pds).call(pds, REQUEST_CREW)
        assert reply.error == (403, "RegistrationDisabled")
        assert set(await crew(pds)) == {CAPTAIN_ENVIRON["PDS_HOLD_OWNER"]}

    async def test_a_member_hears_that_they_are_one(self, pds: Pds, hold: Hold) -> None:
        member = enroll(pds)
        await hold.crew.add(member.did, permissions=(), role="member")
        reply = await member.call(pds, REQUEST_CREW)
        assert (reply.status, reply.json["status"]) == (200, "already_member")
        assert (await crew(pds))[member.did]["permissions"] == []

    async def test_a_captain_without_a_record_gets_one_with_every_permission(
        self, pds: Pds, hold: Hold
    ) -> None:
        captain = enroll_captain(pds)
        removal = PreparedWrite("delete", CREW, crew_rkey(captain.did))
        await commit(pds.ctx, hold.did, lambda _: [removal])
        reply = await captain.call(pds, REQUEST_CREW, {"permissions": ["blob:read"]})
        assert reply.status == 201
        record = (await crew(pds))[captain.did]
        assert (record["role"], record["permissions"]) == ("owner", [*BOTH, "crew:admin"])
        assert (await hold.roster.captain()).owner == captain.did


async def test_captain_and_crew_are_for_everybody_to_read(pds: Pds) -> None:
    reply = await pds.get(
        "com.atproto.repo.getRecord", repo=HOLD_DID, collection=CAPTAIN, rkey=SELF
    )
    assert reply.json["value"]["owner"] == CAPTAIN_ENVIRON["PDS_HOLD_OWNER"]


@pytest.mark.parametrize("own_key", [True, False])
async def test_a_member_who_was_taken_down_does_not_come_back(
    pds: Pds, hold: Hold, own_key: bool
) -> None:
    caller = enroll(pds)
    if not own_key:
        # As other programs write them, such as the hold from which the repository was moved.
        value = crew_value(caller.did, role="x", permissions=Permission, added_at=now_iso())
        write = prepare_write(pds.ctx.lexicons, "create", CREW, "any", value, validate=True)
        await commit(pds.ctx, hold.did, lambda _: [write])
    uri = (await caller.call(pds, REQUEST_CREW)).json["uri"]
    body = {
        "subject": {
            "$type": "com.atproto.repo.strongRef",
            "uri": uri,
            "cid": (await caller.call(pds, REQUEST_CREW)).json["cid"],
        },
        "takedown": {"applied": True, "ref": "1"},
    }
    reply = await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200
    assert (await caller.call(pds, REQUEST_CREW)).error == (403, "Forbidden")
    # Nor do they delete what keeps them out.
    deleted = await caller.call(pds, "io.atcr.hold.deleteUserData")
    assert deleted.json["crewDeleted"] is False
    assert (await caller.call(pds, REQUEST_CREW)).error == (403, "Forbidden")
    began = await caller.call(pds, "io.atcr.hold.initiateUpload", {"digest": "x"})
    assert began.error == (403, "Forbidden")
