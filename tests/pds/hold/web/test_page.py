"""The page `/hold`: for everybody on a public hold, and on a private one nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pytest

from actor_store.reader import ActorStoreReader
from actor_store.writes import PreparedWrite
from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from pds.hold.records import CAPTAIN, CREW, SELF
from pds.hold.web import page
from pds.repos.commits import commit
from pds.repos.records import prepare_write
from repo.commit import Action
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON, OWNER

MEMBER: Final = Did("did:plc:memberaaaaaaaaaaaaaaaaaa")
HOSTILE: Final = '"><script>x</script>'


@pytest.fixture
def changes() -> dict[str, str]:
    """Settings of a test that needs others."""
    return {}


@pytest.fixture
def pds_environ(changes: dict[str, str]) -> dict[str, str]:
    tiers = "deckhand=5GB,bosun=50GB"
    return {**HOLD_ENVIRON, "PDS_HOLD_PUBLIC": "true", "PDS_HOLD_TIERS": tiers, **changes}


async def get(pds: Pds, **params: str) -> tuple[Reply, str]:
    reply = await pds.request("GET", "/hold", params=params)
    return reply, reply.body.decode()


async def test_it_shows_captain_crew_tiers_and_repositories(
    pds: Pds, hold: Hold, alice: Account
) -> None:
    await hold.crew.add(Did(alice.did), permissions=(Permission.READ,), role="friend")
    hold.stats.count_pull(alice.did, "my-image")
    hold.stats.count_push(alice.did, "my-image")
    await hold.stats.write_journal()

    reply, text = await get(pds)

    assert reply.status == 200
    for shown in (HOLD_DID, OWNER, "alice.test", "friend", "blob:read", "0 layers", "bosun"):
        assert shown in text
    assert re.search(r"my-image.*1 pull, last .*1 push, last", text, re.DOTALL)
    assert "docker push atcr.io/" in text


@pytest.mark.parametrize("changes", [{"PDS_HOLD_PUBLIC": "false"}])
async def test_a_private_hold_says_nothing_but_that(pds: Pds) -> None:
    reply, text = await get(pds)
    assert reply.status == 200
    assert "This hold is private." in text
    for hidden in (OWNER, HOLD_DID, "docker", "bosun"):
        assert hidden not in text


async def test_nothing_of_strangers_can_run(pds: Pds, hold: Hold) -> None:
    record = {
        "member": f"did:plc:x{HOSTILE}",
        "role": HOSTILE,
        "tier": HOSTILE,
        "permissions": [HOSTILE],
        "addedAt": HOSTILE,
    }
    await put(pds, hold, CREW, "odd", record)
    hold.stats.count_pull(OWNER, HOSTILE)
    await hold.stats.write_journal()

    reply, text = await get(pds, crew=HOSTILE, repositories=HOSTILE)
    _, first = await get(pds)

    assert "<script" not in text + first
    assert "default-src 'none'; style-src 'self'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    style = await pds.request("GET", "/hold/style.css")
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css; charset=utf-8")


async def put(
    pds: Pds, hold: Hold, collection: str, rkey: str, record: Mapping[str, object]
) -> None:
    """Write a record as another program may have, unchecked."""

    def plan(actor: ActorStoreReader) -> list[PreparedWrite]:
        action: Action = "update" if actor.record.find_cid(collection, rkey) else "create"
        return [prepare_write(pds.ctx.lexicons, action, collection, rkey, record, validate=False)]

    await commit(pds.ctx, hold.did, plan)


async def test_a_hold_that_becomes_private_shows_nothing_at_once(pds: Pds, hold: Hold) -> None:
    assert OWNER in (await get(pds))[1]
    await put(pds, hold, CAPTAIN, SELF, {"owner": OWNER, "public": False})
    assert OWNER not in (await get(pds))[1]


async def test_long_lists_are_paged(pds: Pds, hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ENTRIES_ON_A_PAGE", 2)
    members = {OWNER}
    for number in range(4):
        members.add(Did(f"did:plc:member{number}aaaaaaaaaaaaaaaaa"))
        await hold.crew.add(
            Did(f"did:plc:member{number}aaaaaaaaaaaaaaaaa"), permissions=(), role="member"
        )
        hold.stats.count_pull(MEMBER, f"image-{number}")
    await hold.stats.write_journal()

    shown: list[str] = []
    query: dict[str, str] = {}
    while True:
        _, text = await get(pds, **query)
        crew = text.partition('id="crew"')[2].partition('id="repositories"')[0]
        shown += re.findall(r"<code>(did:[^<]*)</code>", crew)
        following = re.search(r'href="/hold\?crew=([^#"]*)#crew"', text)
        if following is None:
            break
        query = {"crew": following[1]}
    assert len(shown) == 5
    assert set(shown) == members

    _, first = await get(pds)
    assert ("image-1" in first, "image-2" in first) == (True, False)
    following = re.search(r'href="/hold\?repositories=([^#"]*)#', first)
    assert following is not None
    reply = await pds.request("GET", f"/hold?repositories={following[1]}")
    assert "image-2" in reply.body.decode()


@pytest.mark.parametrize("changes", [{"PDS_HOLD_ENABLED": "false"}])
async def test_a_server_that_is_no_hold_has_no_page(pds: Pds) -> None:
    reply, _ = await get(pds)
    assert reply.status == 404
