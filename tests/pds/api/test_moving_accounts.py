"""com.atproto.server.createAccount with a DID that exists: an account moves here."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from database.errors import DatabaseFull
from tests.pds.api.conftest import HandleWorld
from tests.pds.api.signups import CREATE, create, expect_nothing_left, stored_dids
from tests.pds.conftest import Account, Pds
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import Signer, plc_data_for, register_foreign_did

ACTIVATE = "com.atproto.server.activateAccount"


async def test_an_existing_did_moves_in_deactivated_and_unannounced(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    assert reply.status == 200
    assert reply.json["did"] == owner.did
    assert reply.json["didDoc"]["alsoKnownAs"] == ["at://carol.example.com"]
    assert read_events(pds) == []
    assert len(pds.plc.log(owner.did)) == 1
    account = pds.ctx.accounts.get_account(owner.did, include_inactive=True)
    assert account.deactivated_at is not None
    assert account.delete_after is not None
    session = await pds.get(
        "com.atproto.server.getSession", {"Authorization": f"Bearer {reply.json['accessJwt']}"}
    )
    assert (session.json["active"], session.json["status"]) == (False, "deactivated")


async def test_an_existing_did_is_announced_when_it_is_activated(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    auth = {"Authorization": f"Bearer {reply.json['accessJwt']}"}
    data = plc_data_for(pds, owner.did, handle="dana.test", owner_key=owner.key)
    owner.update(pds, data)
    activated = await pds.post(ACTIVATE, headers=auth)
    assert activated.status == 200
    events = read_events(pds)
    assert kinds_of(events) == ["account", "identity", "sync"]
    assert events[0].body == {"did": owner.did, "active": True}
    assert events[1].body == {"did": owner.did, "handle": "dana.test"}


@pytest.mark.parametrize("by", ["dns", "web"])
async def test_an_existing_did_may_keep_its_own_domain_as_handle(
    pds: Pds, handle_world: HandleWorld, by: Literal["dns", "web"]
) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    reply = await create(pds, auth, did=owner.did, handle="carol.example.com")
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "External handle did not resolve to DID"
    handle_world.publish("carol.example.com", owner.did, by=by)
    reply = await create(pds, auth, did=owner.did, handle="carol.example.com")
    assert (reply.status, reply.json["handle"]) == (200, "carol.example.com")


async def test_nobody_makes_the_server_look_up_handles_without_proving_a_did(
    pds: Pds, handle_world: HandleWorld
) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, did=owner.did, handle="carol.example.com")
    assert reply.error == (401, "AuthenticationRequired")
    assert handle_world.dns.queries == []


async def test_a_token_of_somebody_else_does_not_move_a_did(pds: Pds) -> None:
    owner, other = register_foreign_did(pds), register_foreign_did(pds)
    for headers in (None, other.auth(pds, CREATE)):
        reply = await create(pds, headers, did=owner.did)
        assert reply.error == (401, "AuthenticationRequired")
        assert reply.json["message"] == f"Missing auth to create account with did: {owner.did}"
    assert await stored_dids(pds) == []


@pytest.mark.parametrize("changes", [{}, {"handle": "dora.test", "email": "dora@example.com"}])
@pytest.mark.parametrize("state", ["deactivated", "active", "taken down"])
async def test_a_did_that_is_here_already_exists(
    pds: Pds, changes: dict[str, str], state: str
) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    first = await create(pds, auth, did=owner.did)
    assert first.status == 200
    if state == "active":
        owner.update(pds, plc_data_for(pds, owner.did, handle="dana.test", owner_key=owner.key))
        session = {"Authorization": f"Bearer {first.json['accessJwt']}"}
        assert (await pds.post(ACTIVATE, headers=session)).status == 200
        auth = Signer(owner.did, pds.ctx.actor_store.key(owner.did)).auth(pds, CREATE)
    elif state == "taken down":
        await pds.ctx.accounts.states.takedown(owner.did, ref=None)
    again = await create(pds, auth, did=owner.did, **changes)
    assert again.error == (400, "AlreadyExists")
    assert again.json["message"] == f"Repo already exists: {owner.did}"
    assert await stored_dids(pds) == [owner.did]
    assert (await pds.get("com.atproto.sync.getRepoStatus", did=owner.did)).status == 200


async def test_a_did_that_moves_in_does_not_get_the_handle_of_another(
    pds: Pds, bob: Account
) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did, handle=bob.handle)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"Handle already taken: {bob.handle}"


async def test_strangers_are_not_told_that_a_did_is_here(pds: Pds) -> None:
    owner, other = register_foreign_did(pds), register_foreign_did(pds)
    assert (await create(pds, owner.auth(pds, CREATE), did=owner.did)).status == 200
    reply = await create(
        pds, other.auth(pds, CREATE), did=owner.did, handle="dora.test", email="d@example.com"
    )
    assert reply.error == (401, "AuthenticationRequired")


async def test_concurrent_moves_of_one_did_make_one_account(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    replies = await asyncio.gather(
        *(
            create(pds, auth, did=owner.did, handle=f"{name}.test", email=f"{name}@example.com")
            for name in ("dana", "dora", "dina")
        )
    )
    assert sorted(reply.status for reply in replies) == [200, 400, 400]
    (winner,) = (reply for reply in replies if reply.status == 200)
    assert await stored_dids(pds) == [owner.did]
    latest = await pds.get(
        "com.atproto.sync.getLatestCommit",
        {"Authorization": f"Bearer {winner.json['accessJwt']}"},
        did=owner.did,
    )
    assert latest.status == 200


async def test_a_moved_did_is_never_withdrawn(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseFull("account.sqlite", "disk full")

    owner = register_foreign_did(pds)
    monkeypatch.setattr(pds.ctx.accounts, "create_account", fail)
    assert (await create(pds, owner.auth(pds, CREATE), did=owner.did)).status == 503
    await expect_nothing_left(pds)
    assert len(pds.plc.log(owner.did)) == 1
