"""Permission sets: looked for, kept in the table of the reference, used although stale."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from database.connection import Database
from pds.accounts.schema import open_account_database
from pds.oauth.errors import InvalidScope
from pds.oauth.permission_sets import lexicon_table
from pds.oauth.permission_sets.errors import LexiconUnavailable
from pds.oauth.permission_sets.permission_sets import MAX_SETS, PermissionSets
from tests.pds.oauth.permission_sets.lexicons import NSID, permission_set

INCLUDE = f"include:{NSID}"
EVENTS = "repo:com.example.calendar.event"


@dataclass
class Source:
    """Lexicons by their NSID; others cannot be had. Waits for `gate`, if there is one."""

    documents: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def fetch(self, nsid: str) -> tuple[str, dict[str, Any]]:
        self.asked.append(nsid)
        if self.gate is not None:
            await self.gate.wait()
        if nsid not in self.documents:
            raise LexiconUnavailable(nsid, "nowhere")
        return f"at://did:web:x/com.atproto.lexicon.schema/{nsid}", self.documents[nsid]


@dataclass
class World:
    db: Database
    source: Source
    now_s: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.sets = self.restarted()

    def restarted(self) -> PermissionSets:
        return PermissionSets(self.db, self.source, clock=lambda: self.now_s)

    def rows(self) -> list[Any]:
        return self.db.all("SELECT * FROM lexicon ORDER BY nsid")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    db = open_account_database(tmp_path / "account.sqlite")
    world = World(db, Source({NSID: permission_set()}))
    yield world
    await world.sets.close()
    db.close()


async def test_a_set_takes_the_place_of_its_include(world: World) -> None:
    assert await world.sets.expand(f"atproto {INCLUDE}") == f"{EVENTS} atproto"
    assert (await world.sets.find_all(INCLUDE))[NSID].title == "Calendar"


async def test_scopes_without_a_set_stay_as_they_are(world: World) -> None:
    assert await world.sets.expand("atproto  unknown repo:*") == "atproto  unknown repo:*"
    assert world.source.asked == []


async def test_the_row_is_as_the_reference_writes_it(world: World) -> None:
    await world.sets.expand(INCLUDE)
    [(nsid, created, updated, succeeded, uri, document)] = world.rows()
    assert (nsid, uri) == (NSID, f"at://did:web:x/com.atproto.lexicon.schema/{NSID}")
    assert created == updated == succeeded == "2027-01-15T08:00:00.000Z"
    assert orjson.loads(document) == permission_set()


async def test_a_set_is_kept_for_five_minutes_also_across_a_restart(world: World) -> None:
    await world.sets.expand(INCLUDE)
    world.source.documents[NSID] = permission_set(permissions=[])
    world.now_s += 299
    assert await world.restarted().expand(INCLUDE) == EVENTS
    assert world.source.asked == [NSID]
    world.now_s += 1
    assert await world.sets.expand(INCLUDE) == ""
    assert world.source.asked == [NSID, NSID]
    [(_, created, updated, *_)] = world.rows()
    assert (created, updated) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:05:00.000Z")


async def test_a_set_that_cannot_be_had_again_is_used_as_it_was(world: World) -> None:
    await world.sets.expand(INCLUDE)
    del world.source.documents[NSID]
    world.now_s += 86_400
    assert await world.sets.expand(INCLUDE) == EVENTS
    assert await world.sets.expand(INCLUDE) == EVENTS
    assert world.source.asked == [NSID, NSID]
    [(_, _, updated, succeeded, *_)] = world.rows()
    assert (updated, succeeded) == ("2027-01-16T08:00:00.000Z", "2027-01-15T08:00:00.000Z")


async def test_a_failure_is_remembered_and_forgotten(world: World) -> None:
    unknown = "com.example.calendar.unknown"
    for _ in range(2):
        with pytest.raises(
            InvalidScope, match=rf"Could not resolve Lexicon for NSID \({unknown}\)"
        ):
            await world.sets.expand(f"include:{unknown}")
    assert world.source.asked == [unknown]
    assert [row[0] for row in world.rows()] == [unknown]
    world.now_s += 301
    await world.sets.expand(INCLUDE)
    assert [row[0] for row in world.rows()] == [NSID]


async def test_a_lexicon_of_another_kind_is_refused(world: World) -> None:
    world.source.documents[NSID] = {"lexicon": 1, "id": NSID, "defs": {"main": {"type": "token"}}}
    with pytest.raises(InvalidScope, match="Lexicon document is not a permission set"):
        await world.sets.expand(INCLUDE)


async def test_a_row_that_breaks_the_rules_is_refused(world: World) -> None:
    await world.sets.expand(INCLUDE)
    world.db.run("UPDATE lexicon SET lexicon = '{\"lexicon\": 7}'")
    with pytest.raises(InvalidScope, match="Invalid Lexicon document"):
        await world.sets.expand(INCLUDE)


async def test_those_who_ask_at_once_share_a_fetch(world: World) -> None:
    world.source.gate = asyncio.Event()
    asking = [asyncio.create_task(world.sets.expand(INCLUDE)) for _ in range(5)]
    await asyncio.sleep(0)
    asking.pop().cancel()
    world.source.gate.set()
    assert await asyncio.gather(*asking) == [EVENTS] * 4
    assert world.source.asked == [NSID]


@pytest.mark.parametrize("form", ["com.example.set.s{}", f"{NSID}?aud=did:web:a.b%23x{{}}"])
async def test_too_many_sets_are_refused_before_any_is_looked_for(world: World, form: str) -> None:
    scope = " ".join(f"include:{form.format(index)}" for index in range(MAX_SETS + 1))
    with pytest.raises(InvalidScope, match="more than 32"):
        await world.sets.expand(scope)
    assert world.source.asked == []


async def test_a_set_that_lists_too_much_is_refused(world: World) -> None:
    names = [f"com.example.calendar.{'a' * 60}{index}" for index in range(1_000)]
    entry = {"type": "permission", "resource": "repo", "collection": names}
    world.source.documents[NSID] = permission_set(permissions=[entry])
    with pytest.raises(InvalidScope, match="list too much"):
        await world.sets.expand(INCLUDE)


async def test_the_table_keeps_a_bounded_number_of_rows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexicon_table, "MAX_FOUND", 3)
    monkeypatch.setattr(lexicon_table, "MAX_FAILED", 2)
    for index in range(5):
        nsid = f"com.example.set.s{index}"
        world.source.documents[nsid] = permission_set(nsid)
        await world.sets.expand(f"include:{nsid}")
        world.now_s += 1
    for index in range(4):
        with pytest.raises(InvalidScope):
            await world.sets.expand(f"include:com.example.set.unknown{index}")
        world.now_s += 1
    kept = ("s2", "s3", "s4", "unknown2", "unknown3")
    assert [row[0] for row in world.rows()] == [f"com.example.set.{name}" for name in kept]
