"""Accounts of the reference: credentials, states, handles, invite codes, preferences."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from repo.syntax import Did
from tests.pds.conftest import Pds, Reply
from tests.pds.swap_in.conftest import Owners
from tests.reference import data

HANDLES = {name: f"{name}.test" for name in data.NAMES} | {"eve": "evelyn.test"}
PREFERENCES = [
    {"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True},
    {"$type": "app.bsky.actor.defs#savedFeedsPrefV2", "items": []},
]

each_account = pytest.mark.parametrize("name", data.NAMES)


async def log_in(pds: Pds, identifier: str, password: str, **more: Any) -> Reply:
    return await pds.post(
        "com.atproto.server.createSession",
        {"identifier": identifier, "password": password, **more},
    )


def bearer(jwt: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt}"}


@each_account
async def test_passwords_open_sessions_by_handle_email_and_did(
    pds: Pds, manifest: Any, name: str
) -> None:
    expected = manifest["accounts"][name]
    for identifier in (HANDLES[name], f"{name}@test.com", expected["did"]):
        reply = await log_in(pds, identifier, expected["password"])
        if name == data.TAKEN_DOWN:
            assert reply.error == (401, "AccountTakedown")
            continue
        assert reply.status == 200, reply.body
        assert (reply.json["did"], reply.json["handle"]) == (expected["did"], HANDLES[name])
        assert reply.json["active"] == (name != data.DEACTIVATED)
        assert reply.json.get("status") == ("deactivated" if name == data.DEACTIVATED else None)
    assert (await log_in(pds, expected["did"], "wrong")).error == (401, "AuthenticationRequired")


async def test_a_taken_down_account_may_still_sign_in_to_appeal(pds: Pds, manifest: Any) -> None:
    expected = manifest["accounts"][data.TAKEN_DOWN]
    reply = await log_in(pds, expected["did"], expected["password"], allowTakendown=True)
    assert (reply.status, reply.json["status"]) == (200, "takendown")


async def test_the_app_password_opens_a_session_and_is_listed(
    pds: Pds, manifest: Any, owners: Owners
) -> None:
    alice = manifest["accounts"]["alice"]
    reply = await log_in(pds, alice["did"], alice["appPassword"]["password"])
    assert reply.status == 200, reply.body
    body = {"name": "another"}
    path = "com.atproto.server.createAppPassword"
    assert (await pds.post(path, body, bearer(reply.json["accessJwt"]))).status == 400
    listed = await pds.get("com.atproto.server.listAppPasswords", owners["alice"].auth)
    expected = {key: value for key, value in alice["appPassword"].items() if key != "password"}
    assert listed.json["passwords"] == [expected]


@each_account
async def test_access_tokens_last_until_they_expire(pds: Pds, manifest: Any, name: str) -> None:
    jwt = manifest["accounts"][name]["accessJwt"]
    reply = await pds.get("com.atproto.server.getSession", bearer(jwt))
    if data.expires_at(jwt) <= time.time():
        assert reply.error == (400, "ExpiredToken")
    elif name == data.TAKEN_DOWN:
        assert reply.error == (401, "AccountTakedown")
    else:
        assert reply.json["did"] == manifest["accounts"][name]["did"]


@each_account
async def test_refresh_tokens_are_exchanged_until_they_expire(
    pds: Pds, manifest: Any, name: str
) -> None:
    jwt = manifest["accounts"][name]["refreshJwt"]
    reply = await pds.post("com.atproto.server.refreshSession", headers=bearer(jwt))
    if data.expires_at(jwt) <= time.time():
        assert reply.error == (400, "ExpiredToken")
    elif name == data.TAKEN_DOWN:
        # The takedown revoked it.
        assert reply.error in [(401, "AccountTakedown"), (400, "ExpiredToken")]
    else:
        assert reply.json["did"] == manifest["accounts"][name]["did"]
        assert (
            await pds.get("com.atproto.server.getSession", bearer(reply.json["accessJwt"]))
        ).status == 200


@each_account
async def test_handles_of_active_accounts_resolve_and_former_ones_do_not(
    pds: Pds, manifest: Any, name: str
) -> None:
    reply = await pds.get("com.atproto.identity.resolveHandle", handle=HANDLES[name])
    if name in data.ACTIVE:
        assert reply.json == {"did": manifest["accounts"][name]["did"]}
    else:
        assert reply.error == (400, "HandleNotFound")
    assert (await pds.get("com.atproto.identity.resolveHandle", handle="eve.test")).status == 400


async def test_a_handle_is_changed_with_an_operation_on_top_of_the_log(
    pds: Pds, manifest: Any, owners: Owners
) -> None:
    did = Did(manifest["accounts"]["eve"]["did"])
    before = pds.plc.log(did)
    body = {"handle": "eve.test"}
    reply = await pds.post("com.atproto.identity.updateHandle", body, owners["eve"].auth)
    assert reply.status == 200, reply.body
    log = pds.plc.log(did)
    assert log[: len(before)] == before
    assert handle_of(pds.plc, did) == "at://eve.test"


def handle_of(store: PlcStore, did: Did) -> str:
    last = store.find_last(did)
    assert last is not None
    assert last.data is not None
    return last.data.also_known_as[0]


async def test_preferences_are_those_that_were_put(pds: Pds, owners: Owners) -> None:
    for name, expected in (("alice", PREFERENCES), ("bob", [])):
        reply = await pds.get("app.bsky.actor.getPreferences", owners[name].auth)
        assert reply.json == {"preferences": expected}


@pytest.mark.parametrize("pds_environ", [{"PDS_INVITE_REQUIRED": "true"}])
async def test_the_invite_code_is_good_for_three_accounts(pds: Pds, manifest: Any) -> None:
    replies = []
    for number in range(4):
        body = {
            "handle": f"guest{number}.test",
            "email": f"guest{number}@example.com",
            "password": "guest-password",
            "inviteCode": manifest["inviteCode"],
        }
        replies.append(await pds.post("com.atproto.server.createAccount", body))
    assert [reply.status for reply in replies] == [200, 200, 200, 400]
    assert replies[-1].error == (400, "InvalidInviteCode")


async def test_names_and_addresses_in_use_are_refused(pds: Pds) -> None:
    for body in (
        {"handle": "alice.test", "email": "new@example.com"},
        {"handle": "new.test", "email": "ALICE@test.com"},
        {"handle": "carol.test", "email": "new@example.com"},
    ):
        reply = await pds.post("com.atproto.server.createAccount", {**body, "password": "pw"})
        assert reply.status == 400, body
