"""app.bsky.actor: the preferences of an account."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply

GET = "app.bsky.actor.getPreferences"
PUT = "app.bsky.actor.putPreferences"
ADULT = {"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}
TAGS = {"$type": "app.bsky.actor.defs#interestsPref", "tags": ["knots", "ünïcode"]}


async def put(pds: Pds, account: Account, *preferences: Any) -> Reply:
    return await pds.post(PUT, {"preferences": list(preferences)}, account.auth)


async def get(pds: Pds, account: Account) -> Any:
    reply = await pds.get(GET, account.auth)
    assert reply.status == 200, reply.body
    return reply.json["preferences"]


async def test_preferences_are_kept_in_order_and_replaced_as_a_whole(
    pds: Pds, alice: Account, bob: Account
) -> None:
    assert await get(pds, alice) == []
    reply = await put(pds, alice, TAGS, ADULT)
    assert (reply.status, reply.body) == (200, b"")
    assert await get(pds, alice) == [TAGS, ADULT]
    await put(pds, alice, ADULT)
    assert await get(pds, alice) == [ADULT]
    assert await get(pds, bob) == []


async def test_preferences_of_kinds_that_nobody_knows_yet_are_kept(
    pds: Pds, alice: Account
) -> None:
    novel = {"$type": "app.bsky.actor.defs#novelPref", "deep": {"list": [1, None, "x"]}}
    await put(pds, alice, novel)
    assert await get(pds, alice) == [novel]


@pytest.mark.parametrize(
    ("preference", "message"),
    [
        ({"$type": "com.example.defs#pref"}, "Some preferences are not in the app.bsky namespace"),
        ({"$type": "app.bskyx.defs#pref"}, "Some preferences are not in the app.bsky namespace"),
        (
            {"enabled": True},
            (
                'Expected an object which includes the "$type" property value type'
                ' (got {"enabled": ...}) at $.preferences[0]'
            ),
        ),
    ],
)
async def test_other_preferences_are_refused_and_change_nothing(
    pds: Pds, alice: Account, preference: Any, message: str
) -> None:
    await put(pds, alice, ADULT)
    reply = await put(pds, alice, preference)
    assert reply.json == {"error": "InvalidRequest", "message": message}
    assert await get(pds, alice) == [ADULT]


async def test_the_declared_age_follows_from_the_date_of_birth(pds: Pds, alice: Account) -> None:
    year = datetime.now(UTC).year - 17
    details = {
        "$type": "app.bsky.actor.defs#personalDetailsPref",
        "birthDate": f"{year}-01-01T00:00:00.000Z",
    }
    declared = {
        "$type": "app.bsky.actor.defs#declaredAgePref",
        "isOverAge13": True,
        "isOverAge16": True,
        "isOverAge18": False,
    }
    await put(pds, alice, {**declared, "isOverAge18": True}, details, ADULT)
    assert await get(pds, alice) == [details, ADULT, declared]


async def test_preferences_are_private(pds: Pds, alice: Account) -> None:
    for reply in (await pds.get(GET), await pds.post(PUT, {"preferences": []})):
        assert reply.error == (401, "AuthMissing")
    for reply in (await pds.get(GET, pds.admin), await pds.get(GET, alice.refresh_auth)):
        assert reply.error == (400, "InvalidToken")


async def test_a_deactivated_account_keeps_its_preferences(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.deactivate(Did(alice.did))
    assert (await put(pds, alice, ADULT)).status == 200
    assert await get(pds, alice) == [ADULT]


async def test_an_account_that_is_taken_down_reads_but_does_not_write(
    pds: Pds, alice: Account
) -> None:
    await put(pds, alice, ADULT)
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": alice.did, "password": alice.password, "allowTakendown": True},
    )
    auth = {"Authorization": f"Bearer {login.json['accessJwt']}"}
    assert (await pds.get(GET, auth)).json == {"preferences": [ADULT]}
    refused = await pds.post(PUT, {"preferences": []}, auth)
    assert refused.json["message"] == "Bad token scope"
    with_old_token = await pds.post(PUT, {"preferences": []}, alice.auth)
    assert with_old_token.error == (401, "AccountTakedown")


async def test_concurrent_replacements_do_not_mix(pds: Pds, alice: Account) -> None:
    sets = [
        [{"$type": f"app.bsky.actor.defs#p{number}", "part": part} for part in range(3)]
        for number in range(6)
    ]
    replies = await asyncio.gather(*(put(pds, alice, *each) for each in sets))
    assert [reply.status for reply in replies] == [200] * 6
    assert await get(pds, alice) in sets
