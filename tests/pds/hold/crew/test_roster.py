"""The roster follows the repository at once, and costs the same however many members there are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from actor_store.reader import ActorStoreReader
from actor_store.records import RecordReader, StoredRecord
from actor_store.transactor import ActorStoreTransactor
from actor_store.writes import MAX_WRITES, PreparedWrite
from pds.hold.crew.index import CrewIndex
from pds.hold.crew.roster import NO_CAPTAIN, Roster
from pds.hold.hold import Hold
from pds.hold.permissions import AccessDenied, Permission
from pds.hold.records import CAPTAIN, CREW, SELF, STATS, crew_rkey, crew_value
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_ENVIRON, OWNER

MEMBER: Final = "did:plc:memberaaaaaaaaaaaaaaaaaa"
OTHER: Final = "did:plc:otheraaaaaaaaaaaaaaaaaaa"
READ, WRITE, ADMIN = Permission.READ, Permission.WRITE, Permission.ADMIN


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON}


class Repo:
    """Writes to the hold's repository, past the hold."""

    def __init__(self, pds: Pds, hold: Hold) -> None:
        self.ctx, self.did = pds.ctx, hold.did

    async def put(self, collection: str, rkey: str, value: Any) -> None:
        await self.put_all(collection, {rkey: value})

    async def put_all(self, collection: str, values: dict[str, Any]) -> None:
        """Write records, in commits of as many as one may have."""
        items = list(values.items())
        for start in range(0, len(items), MAX_WRITES):
            batch = items[start : start + MAX_WRITES]

            def plan(
                actor: ActorStoreReader, batch: list[tuple[str, Any]] = batch
            ) -> list[PreparedWrite]:
                return [self._write(actor, collection, rkey, value) for rkey, value in batch]

            await commit(self.ctx, self.did, plan)

    async def delete(self, collection: str, rkey: str) -> None:
        await commit(self.ctx, self.did, lambda _: [PreparedWrite("delete", collection, rkey)])

    async def take_down(self, collection: str, rkey: str, ref: str | None) -> None:
        def change(actor: ActorStoreTransactor) -> None:
            actor.record.set_takedown(collection, rkey, ref)

        await self.ctx.actor_store.transact(self.did, change)

    def _write(
        self, actor: ActorStoreReader, collection: str, rkey: str, value: Any
    ) -> PreparedWrite:
        exists = actor.record.find_cid(collection, rkey) is not None
        action: Any = "update" if exists else "create"
        lexicons = self.ctx.lexicons
        return prepare_write(lexicons, action, collection, rkey, value, validate=False)


@pytest.fixture
def repo(pds: Pds, hold: Hold) -> Repo:
    return Repo(pds, hold)


def member(did: str = MEMBER, *permissions: Permission, **more: Any) -> dict[str, Any]:
    value = crew_value(did, role="member", permissions=permissions, added_at="2026-01-01T00:00:00Z")
    return {**value, **more}


async def allows(roster: Roster, caller: str | None, wanted: Permission) -> bool:
    try:
        await roster.check(caller, wanted)
    except AccessDenied:
        return False
    return True


@pytest.mark.parametrize("rkey", [crew_rkey(MEMBER), "3aaaaaaaaaa2a"])
async def test_access_follows_every_change_of_a_record(hold: Hold, repo: Repo, rkey: str) -> None:
    roster = hold.roster
    assert not await allows(roster, MEMBER, READ)
    await repo.put(CREW, rkey, member(MEMBER, READ))
    assert await allows(roster, MEMBER, READ)
    assert not await allows(roster, MEMBER, WRITE)
    await repo.put(CREW, rkey, member(MEMBER, WRITE))
    assert await allows(roster, MEMBER, WRITE)
    # The record is another's from now on.
    await repo.put(CREW, rkey, member(OTHER, WRITE))
    assert not await allows(roster, MEMBER, READ)
    assert await allows(roster, OTHER, WRITE)
    await repo.delete(CREW, rkey)
    assert not await allows(roster, OTHER, READ)
    await repo.put(CREW, rkey, member(MEMBER, READ))
    assert await allows(roster, MEMBER, READ)


@pytest.mark.parametrize("rkey", [crew_rkey(MEMBER), "3aaaaaaaaaa2a"])
async def test_a_record_that_is_taken_down_does_not_count(
    hold: Hold, repo: Repo, rkey: str
) -> None:
    await repo.put(CREW, rkey, member(MEMBER, READ))
    assert await allows(hold.roster, MEMBER, READ)
    await repo.take_down(CREW, rkey, "operator")
    assert not await allows(hold.roster, MEMBER, READ)
    # So does one that was taken down before the roster was read.
    roster = Roster(repo.ctx.actor_store, hold.did)
    assert not await allows(roster, MEMBER, READ)
    await repo.take_down(CREW, rkey, None)
    assert await allows(roster, MEMBER, READ)
    assert await allows(hold.roster, MEMBER, READ)


async def test_of_several_records_for_a_member_the_last_written_decides(
    hold: Hold, repo: Repo
) -> None:
    await repo.put(CREW, "a", member(MEMBER, WRITE))
    await repo.put(CREW, crew_rkey(MEMBER), member(MEMBER, READ))
    assert not await allows(hold.roster, MEMBER, WRITE)
    await repo.put(CREW, "a", member(MEMBER, WRITE, tier="bosun"))
    assert await allows(hold.roster, MEMBER, WRITE)
    rkeys = [each.rkey for each in await hold.roster.records_of(MEMBER)]
    assert rkeys == ["a", crew_rkey(MEMBER)]
    found = await hold.roster.find(MEMBER)
    assert found is not None
    assert found.tier == "bosun"


async def test_a_private_hold_lets_only_the_crew_read_and_a_public_one_everybody(
    hold: Hold, repo: Repo
) -> None:
    captain = {"owner": OWNER, "public": False, "allowAllCrew": True, "enableBlueskyPosts": False}
    assert not await allows(hold.roster, None, READ)
    await repo.put(CAPTAIN, SELF, {**captain, "public": True})
    assert await allows(hold.roster, None, READ)
    assert not await allows(hold.roster, None, WRITE)
    # Only the record of a member gives access, not that anybody may become one.
    assert not await allows(hold.roster, MEMBER, WRITE)
    await repo.put(CAPTAIN, SELF, captain)
    assert not await allows(hold.roster, MEMBER, READ)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda repo: repo.delete(CAPTAIN, SELF),
        lambda repo: repo.take_down(CAPTAIN, SELF, "operator"),
        lambda repo: repo.put(CAPTAIN, SELF, {"public": True, "allowAllCrew": True}),
        lambda repo: repo.put(CAPTAIN, SELF, {"owner": [OWNER], "public": True}),
        lambda repo: repo.put(CAPTAIN, SELF, {"owner": "", "public": True}),
    ],
    ids=["deleted", "taken down", "without owner", "of another type", "empty"],
)
async def test_without_a_usable_captain_record_the_hold_is_private_and_says_so_once(
    hold: Hold, repo: Repo, spoil: Callable[[Repo], Any]
) -> None:
    await repo.put(CREW, crew_rkey(MEMBER), member(MEMBER, READ))
    assert await allows(hold.roster, OWNER, ADMIN)
    await repo.delete(CREW, crew_rkey(OWNER))
    await spoil(repo)
    with capture_logs() as logs:
        assert await hold.roster.captain() is NO_CAPTAIN
        assert not await allows(hold.roster, OWNER, READ)
        assert not await allows(hold.roster, None, READ)
        assert await allows(hold.roster, MEMBER, READ)
    (line,) = logs
    assert line["event"] == "the captain record cannot be used"
    assert "PDS_HOLD_OWNER" in line["remedy"]


MALFORMED: Final[list[Any]] = [
    {},
    {"member": 7, "permissions": ["blob:read"]},
    {"member": MEMBER},
    {"member": MEMBER, "permissions": "blob:read"},
    {"member": MEMBER, "permissions": [["blob:read"], {"blob:read": 1}, None]},
    {"member": MEMBER, "permissions": ["BLOB:READ", "blob:*"]},
]


async def test_a_malformed_crew_record_gives_nothing(hold: Hold, repo: Repo) -> None:
    for value in MALFORMED:
        await repo.put(CREW, crew_rkey(MEMBER), value)
        await repo.put(CREW, "another", value)
        assert not await allows(hold.roster, MEMBER, READ), value


async def test_a_great_change_at_once_is_followed_too(hold: Hold, repo: Repo) -> None:
    assert not await allows(hold.roster, MEMBER, READ)
    crowd = {f"key{n}": member(f"did:plc:{n:024}", WRITE) for n in range(150)}
    await repo.put_all(CREW, {**crowd, "last": member(MEMBER, READ)})
    assert await allows(hold.roster, MEMBER, READ)
    await repo.put_all(STATS, {f"stats{n}": {"n": n} for n in range(1100)})
    await repo.put(CREW, "other", member(OTHER, READ))
    assert await allows(hold.roster, OTHER, READ)


async def test_a_change_of_others_among_many_members_reads_none_of_them(
    hold: Hold, repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = [f"did:plc:{n:024}" for n in range(1000)]
    # Half of them by keys that this server would not choose.
    values = {crew_rkey(did) if n % 2 else f"key{n}": did for n, did in enumerate(crowd)}
    await repo.put_all(CREW, {rkey: member(did, READ) for rkey, did in values.items()})
    await hold.roster.load()
    read: list[str] = []
    monkeypatch.setattr(CrewIndex, "read", lambda _: pytest.fail("all records were read again"))
    original = RecordReader.find

    def find(self: RecordReader, collection: str, rkey: str, **more: Any) -> StoredRecord | None:
        read.append(rkey)
        return original(self, collection, rkey, **more)

    monkeypatch.setattr(RecordReader, "find", find)
    await repo.put(STATS, "stats", {"pullCount": 1})
    assert await allows(hold.roster, crowd[0], READ)
    assert read == [SELF, crew_rkey(crowd[0]), "key0"]
    await repo.delete(CREW, "key2")
    await repo.put(CREW, "key4", member(MEMBER, READ))
    assert not await allows(hold.roster, crowd[2], READ)
    assert not await allows(hold.roster, crowd[4], READ)
    assert await allows(hold.roster, MEMBER, READ)


async def test_a_check_takes_microseconds(hold: Hold, repo: Repo) -> None:
    await repo.put(CREW, crew_rkey(MEMBER), member(MEMBER, WRITE))
    await hold.roster.check(MEMBER, WRITE)
    fastest = min([await _time_of(hold.roster) for _ in range(200)])
    # It takes 30 us; reading even ten records more would show.
    assert fastest < 0.001


async def _time_of(roster: Roster) -> float:
    before = time.perf_counter()
    await roster.check(MEMBER, WRITE)
    return time.perf_counter() - before
