"""com.atproto.server.reserveSigningKey: a key ahead of the account that is going to use it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actor_store.keys import MAX_RESERVED_KEYS
from repo.syntax import Did
from tests.pds.api.moderation import make_inactive
from tests.pds.api.signups import CREATE, create, make_invite_codes
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.identities import register_foreign_did

CAROL = "did:web:carol.example.com"


async def reserve(pds: Pds, **body: Any) -> Reply:
    return await pds.post("com.atproto.server.reserveSigningKey", body)


def reserved_files(pds: Pds) -> list[Path]:
    directory = pds.ctx.settings.actors_directory / "reserved_keys"
    return sorted(directory.iterdir()) if directory.exists() else []


async def test_a_key_is_reserved_for_a_did_once(pds: Pds) -> None:
    replies = await asyncio.gather(*(reserve(pds, did=CAROL) for _ in range(5)))
    keys = {reply.json["signingKey"] for reply in replies}
    assert len(keys) == 1
    (file,) = reserved_files(pds)
    assert file.name == CAROL
    assert len(file.read_bytes()) == 32
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_key_for_nobody_yet_is_another_one_each_time(pds: Pds) -> None:
    keys = [(await reserve(pds)).json["signingKey"] for _ in range(2)]
    assert [file.name for file in reserved_files(pds)] == sorted(keys)


@pytest.mark.parametrize("state", ["active", "deactivated", "takendown"])
async def test_an_account_here_has_its_key_already(pds: Pds, alice: Account, state: str) -> None:
    if state != "active":
        await make_inactive(pds, alice, state)
    reply = await reserve(pds, did=alice.did)
    assert (reply.status, reply.json) == (
        400,
        {"error": "AlreadyExists", "message": f"Account already exists: {alice.did}"},
    )
    assert reserved_files(pds) == []


@pytest.mark.parametrize(
    "did",
    [
        *("did:web:a/b", "did:web:a\\b", "../key", ".did", "did:web:..\0", "alice.test"),
        *("did:web:../../../etc/passwd", "did:example:" + "a" * 300),
    ],
)
async def test_what_is_no_name_of_a_file_is_refused(pds: Pds, did: str) -> None:
    assert (await reserve(pds, did=did)).error == (400, "InvalidRequest")
    assert reserved_files(pds) == []


async def test_strangers_do_not_fill_the_disk(pds: Pds) -> None:
    await reserve(pds, did=CAROL)
    (mine,) = reserved_files(pds)
    for number in range(MAX_RESERVED_KEYS - 1):
        mine.with_name(f"did:key:z{number}").write_bytes(bytes(32))
    reply = await reserve(pds)
    assert (reply.status, reply.json) == (
        503,
        {
            "error": "NotEnoughResources",
            "message": "Too many signing keys are reserved. Try again later.",
        },
    )
    assert len(reserved_files(pds)) == MAX_RESERVED_KEYS
    assert (await reserve(pds, did=CAROL)).status == 200


async def test_an_address_that_asks_often_shuts_nobody_out(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actor_store.keys.MAX_RESERVED_KEYS", 10)
    flood = [reserve(pds, did=f"did:web:n{number}.example.com") for number in range(50)]
    assert {reply.status for reply in await asyncio.gather(*flood)} == {200}
    assert len(reserved_files(pds)) == 10
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}
    body = {"did": CAROL}
    reply = await pds.post("com.atproto.server.reserveSigningKey", body, elsewhere)
    assert reply.status == 200
    for number in range(20):
        assert (await reserve(pds, did=f"did:web:more{number}.example.com")).status == 200
    again = await pds.post("com.atproto.server.reserveSigningKey", body, elsewhere)
    assert again.json == reply.json


async def test_an_account_that_moves_here_gets_the_key_reserved_for_it(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reserved = (await reserve(pds, did=owner.did)).json["signingKey"]
    other = (await reserve(pds)).json["signingKey"]
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    assert reply.status == 200
    assert pds.ctx.actor_store.key(owner.did).did_key == reserved
    assert [file.name for file in reserved_files(pds)] == [other]


async def test_a_sign_up_that_fails_leaves_the_reservation(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reserved = (await reserve(pds, did=owner.did)).json["signingKey"]
    refused = await create(pds, owner.auth(pds, CREATE), did=owner.did, inviteCode="unknown")
    assert refused.error == (400, "InvalidInviteCode")
    (code,) = await make_invite_codes(pds, 1)
    assert (
        await create(pds, owner.auth(pds, CREATE), did=owner.did, inviteCode=code)
    ).status == 200
    assert pds.ctx.actor_store.key(Did(owner.did)).did_key == reserved
