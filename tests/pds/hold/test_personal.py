"""What a hold has about a user: exported to them alone, and deleted when they ask."""

from __future__ import annotations

from typing import Any, Final

import pytest

from actor_store.errors import TooManyWrites
from actor_store.store import ActorStore
from pds.hold import personal
from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CREW, LAYER, POST, STATS, manifest_uri
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Pds, Reply
from tests.pds.hold.callers import CAPTAIN_ENVIRON, Caller, enroll, enroll_captain
from tests.pds.hold.conftest import BOTH, HOLD_DID

EXPORT: Final = "io.atcr.hold.exportUserData"
DELETE: Final = "io.atcr.hold.deleteUserData"
TIME: Final = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(CAPTAIN_ENVIRON)


@pytest.fixture
async def member(pds: Pds, hold: Hold) -> Caller:
    return await join(pds, hold)


async def join(pds: Pds, hold: Hold) -> Caller:
    member = enroll(pds)
    await hold.crew.add(member.did, permissions=BOTH, role="member")
    return member


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def layer(user: str, number: int) -> dict[str, Any]:
    return {
        "$type": LAYER,
        "digest": digest(number),
        "size": 1000 + number,
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "manifest": manifest_uri(user, digest(99)),
        "userDid": user,
        "createdAt": TIME,
    }


async def write(hold: Hold, *records: dict[str, Any]) -> None:
    """Write records as a push does, up to a hundred a commit."""
    ctx = hold.ctx
    for start in range(0, len(records), 100):
        writes = [
            prepare_write(
                ctx.lexicons, "create", each["$type"], ctx.tid_clock.next(), each, validate=None
            )
            for each in records[start : start + 100]
        ]
        await commit(ctx, hold.did, lambda _, writes=writes: writes)  # type: ignore[misc]


async def push(hold: Hold, user: Caller, layers: int, repository: str = "app") -> None:
    await write(hold, *(layer(user.did, number) for number in range(layers)))
    hold.stats.count_push(user.did, repository)
    hold.stats.count_pull(user.did, repository)
    await hold.stats.write_records()


async def export(pds: Pds, user: Caller) -> Any:
    reply = await pds.get(EXPORT, user.bearer())
    assert reply.status == 200, reply.body
    assert reply.headers["Cache-Control"] == "private"
    return reply.json


async def delete(pds: Pds, user: Caller) -> Reply:
    return await user.call(pds, DELETE, {})


async def count(pds: Pds, collection: str) -> int:
    counts = await pds.ctx.actor_store.read(HOLD_DID, lambda actor: actor.record.counts())
    return counts.get(collection, 0)


async def test_the_export_has_all_about_the_caller_and_nothing_about_others(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    other = await join(pds, hold)
    await push(hold, member, 3)
    await push(hold, other, 2, "theirs")
    hold.stats.count_pull(member.did, "app")
    text = f"pushed by {member.did}"
    await write(
        hold,
        {"$type": POST, "text": text, "createdAt": TIME},
        {"$type": POST, "text": f"pushed by {other.did}", "createdAt": TIME},
    )

    data = await export(pds, member)

    assert (data["holdDid"], data["userDid"], data["isCaptain"]) == (HOLD_DID, member.did, False)
    assert data["crewRecord"].pop("addedAt")
    assert data["crewRecord"] == {"role": "member", "permissions": ["blob:read", "blob:write"]}
    wanted = [layer(member.did, number) for number in range(3)]
    for record in wanted:
        del record["$type"], record["userDid"]
    assert sorted(data["layerRecords"], key=lambda each: each["digest"]) == wanted
    (stats,) = data["statsRecords"]
    assert (stats["repository"], stats["pullCount"], stats["pushCount"]) == ("app", 2, 1)
    assert stats["lastPull"]
    assert stats["lastPush"]
    assert stats["updatedAt"] <= data["exportedAt"]
    (post,) = data["blueskyPosts"]
    assert (post["text"], post["createdAt"]) == (text, TIME)
    assert post["uri"].startswith(f"at://{HOLD_DID}/{POST}/")
    assert other.did not in str(data)


async def test_a_stranger_s_export_is_empty(pds: Pds) -> None:
    data = await export(pds, enroll(pds))
    assert "crewRecord" not in data
    assert [data[name] for name in ("layerRecords", "statsRecords", "blueskyPosts")] == [[]] * 3


async def test_the_captain_s_export_says_so(pds: Pds) -> None:
    data = await export(pds, enroll_captain(pds))
    assert data["isCaptain"] is True
    assert data["crewRecord"]["permissions"] == ["blob:read", "blob:write", "crew:admin"]


async def test_both_need_a_token(pds: Pds) -> None:
    assert (await pds.get(EXPORT)).error == (401, "AuthRequired")
    assert (await pds.post(DELETE, {})).error == (401, "AuthRequired")
    assert (await pds.post(DELETE, {}, enroll(pds).bearer(exp=1))).error == (401, "ExpiredToken")


async def test_deleting_removes_all_records_of_the_caller_in_one_commit(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    other = await join(pds, hold)
    await push(hold, member, 3)
    await push(hold, other, 2)
    hold.stats.count_pull(member.did, "app")
    last = pds.ctx.sequencer.current_seq

    reply = await delete(pds, member)

    assert pds.ctx.sequencer.current_seq == last + 1

    assert reply.json == {
        "success": True,
        "crewDeleted": True,
        "layersDeleted": 3,
        "statsDeleted": 1,
    }
    left = await export(pds, member)
    assert "crewRecord" not in left
    assert (left["layerRecords"], left["statsRecords"]) == ([], [])
    quota = await pds.get("io.atcr.hold.getQuota", userDid=member.did)
    assert (quota.json["uniqueBlobs"], quota.json["totalSize"]) == (0, 0)
    assert (await count(pds, LAYER), await count(pds, STATS), await count(pds, CREW)) == (2, 1, 2)
    # What was counted and not written yet does not come back.
    await hold.stats.write_records()
    assert await count(pds, STATS) == 1


async def test_deleting_again_deletes_nothing_more(pds: Pds, hold: Hold, member: Caller) -> None:
    await push(hold, member, 1)
    assert (await delete(pds, member)).json["layersDeleted"] == 1
    again = await member.call(pds, DELETE)
    assert again.json == {
        "success": True,
        "crewDeleted": False,
        "layersDeleted": 0,
        "statsDeleted": 0,
    }


async def test_the_captain_s_crew_record_stays(pds: Pds, hold: Hold) -> None:
    captain = enroll_captain(pds)
    await push(hold, captain, 2)
    reply = await delete(pds, captain)
    assert (reply.json["crewDeleted"], reply.json["layersDeleted"]) == (False, 2)
    assert await hold.roster.find(captain.did) is not None


async def test_an_admin_may_leave(pds: Pds, hold: Hold) -> None:
    admin = enroll(pds)
    await hold.crew.add(admin.did, permissions=[Permission.ADMIN], role="admin")
    assert (await delete(pds, admin)).json["crewDeleted"] is True
    assert await hold.roster.find(admin.did) is None


async def test_many_records_are_several_commits_that_hold_nobody_up(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    await push(hold, member, 350)
    assert len((await export(pds, member))["layerRecords"]) == 350
    with loop_blocks() as blocks:
        reply = await delete(pds, member)
    assert reply.json["layersDeleted"] == 350
    assert await count(pds, LAYER) == 0
    assert blocks.longest_ms < 50, blocks.where


async def test_a_deletion_that_fails_half_way_says_so_and_can_be_repeated(
    pds: Pds, hold: Hold, member: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(hold, member, 5)
    monkeypatch.setattr(personal, "WRITES_OF_COMMIT", 2)
    commits = ActorStore.commit
    made = []

    async def fail_second(self: ActorStore, *args: Any, **more: Any) -> Any:
        made.append(1)
        if len(made) == 2:
            raise TooManyWrites("made up")
        return await commits(self, *args, **more)

    monkeypatch.setattr(ActorStore, "commit", fail_second)
    assert (await delete(pds, member)).error == (400, "DeletionFailed")
    assert await count(pds, LAYER) == 3
    assert await hold.roster.find(member.did) is not None
    reply = await delete(pds, member)
    assert (reply.json["crewDeleted"], reply.json["layersDeleted"]) == (True, 3)


async def test_records_that_others_wrote_under_any_key_are_found(
    pds: Pds, hold: Hold, member: Caller
) -> None:
    published = {
        "$type": STATS,
        "ownerDid": member.did,
        "repository": "old",
        "pullCount": 7,
        "pushCount": 1,
        "updatedAt": TIME,
    }
    await write(hold, published)
    data = await export(pds, member)
    assert [(each["repository"], each["pullCount"]) for each in data["statsRecords"]] == [
        ("old", 7)
    ]
    assert data["statsRecords"][0]["updatedAt"] == TIME
    assert (await delete(pds, member)).json["statsDeleted"] == 1
