"""New keys in place of old ones, and what a change that is cut off leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from identity.plc import PlcError
from identity.plc_data import PlcData, PlcService
from pds.lifecycle.key_rotation import replace_rotation_key, replace_signing_key
from pds.pending.journal import read_damaged
from repo.commit import decode_commit
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.api.exports import export, read_car, signing_key
from tests.pds.api.firehose import subscribed
from tests.pds.api.moderation import make_inactive
from tests.pds.api.records import create, delete
from tests.pds.conftest import Account, Pds, Reply

OLD = K256PrivateKey.from_bytes(b"\x41" * 32)
RECOVERY = K256PrivateKey.from_bytes(b"\x42" * 32)


async def rotate(pds: Pds, account: Account) -> Reply:
    path = f"/_holdfast/signing-key/{account.handle}"
    return await pds.request("PUT", path, headers=pds.admin, json={})


async def state(pds: Pds, account: Account) -> PlcData:
    return await pds.ctx.plc.data(Did(account.did))


async def change(pds: Pds, account: Account, **changes: Any) -> None:
    await pds.ctx.plc.update(
        Did(account.did), lambda data: replace(data, **changes), key=pds.ctx.rotation_key
    )


async def check_signs(pds: Pds, account: Account, did_key: str) -> None:
    """DID, key file, repository and firehose agree on the key, before a write and after it."""
    for rkey in ("before", "after"):
        assert (await state(pds, account)).verification_methods == {"atproto": did_key}
        assert pds.ctx.actor_store.key(account.did).did_key == did_key
        # Which checks the signature with the key that the DID names.
        await export(pds, account.did)
        assert (await create(pds, account, {"n": 1}, rkey=rkey)).status == 200


# --- Signing keys


async def test_a_new_signing_key_signs_and_the_network_is_told(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    old = (await state(pds, alice)).verification_methods["atproto"]
    async with subscribed(pds) as consumer:
        reply = await rotate(pds, alice)
        assert reply.status == 200, reply.body
        identity, sync = await consumer.take(2)
    new = reply.json["signingKey"]
    assert reply.json == {"did": alice.did, "signingKey": new}
    assert new != old
    assert (identity.kind, identity.body["handle"]) == ("#identity", alice.handle)
    assert (sync.kind, sync.body["did"]) == ("#sync", alice.did)
    roots, blocks = read_car(sync.body["blocks"])
    assert decode_commit(blocks[roots[0]]).verify(await signing_key(pds, alice.did))
    await check_signs(pds, alice, new)
    # Sessions are signed with another key.
    assert (await pds.get("com.atproto.server.getSession", alice.auth)).status == 200
    assert not list(pds.ctx.settings.actors_directory.glob("reserved_keys/*"))
    assert (await rotate(pds, alice)).json["signingKey"] not in (old, new)


@pytest.mark.parametrize("when", ["before the file", "before the commit"])
async def test_a_change_of_key_that_was_cut_off_is_completed_by_the_next(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    async def fail(*_: object) -> None:
        raise OSError(5, "the disk fails")

    def fail_at_once(*_: object) -> None:
        raise OSError(5, "the disk fails")

    with monkeypatch.context() as patch:
        if when == "before the file":
            patch.setattr(pds.ctx.actor_store.keys, "replace", fail_at_once)
        else:
            patch.setattr("pds.lifecycle.states.current_sync_event", fail)
        assert (await rotate(pds, alice)).status == 500
    named = (await state(pds, alice)).verification_methods["atproto"]
    assert (await rotate(pds, alice)).json["signingKey"] == named
    await check_signs(pds, alice, named)


async def test_a_lost_key_is_replaced(pds: Pds, alice: Account) -> None:
    pds.ctx.actor_store.layout.key(alice.did).unlink()
    pds.ctx.actor_store.keys.forget(alice.did)
    assert (await create(pds, alice, {"n": 1})).status == 503
    new = (await rotate(pds, alice)).json["signingKey"]
    assert (await delete(pds, alice, "none")).status == 200
    assert not read_damaged(pds.ctx.accounts.db)
    await check_signs(pds, alice, new)


async def test_a_deactivated_account_gets_its_key_and_is_told_of_when_it_is_activated(
    pds: Pds, alice: Account
) -> None:
    await make_inactive(pds, alice, "deactivated")
    before = pds.ctx.sequencer.current_seq
    new = (await rotate(pds, alice)).json["signingKey"]
    async with subscribed(pds, before) as consumer:
        assert (await consumer.next()).kind == "#identity"
        await pds.post("com.atproto.server.activateAccount", None, alice.auth)
        assert [event.kind for event in await consumer.take(3)] == [
            *("#account", "#identity", "#sync")
        ]
    await check_signs(pds, alice, new)


async def test_the_key_of_a_did_that_leads_elsewhere_is_left_alone(
    pds: Pds, alice: Account
) -> None:
    elsewhere = PlcService("AtprotoPersonalDataServer", "https://elsewhere.example.com")
    await change(pds, alice, services={"atproto_pds": elsewhere})
    before = await state(pds, alice)
    assert (await rotate(pds, alice)).error == (400, "InvalidRequest")
    assert await state(pds, alice) == before
    account = pds.ctx.accounts.get_account(Did(alice.did))
    web = replace(account, did=Did("did:web:alice.example.com"))
    with pytest.raises(Exception, match="for did:plc accounts only"):
        await replace_signing_key(pds.ctx, web)


# --- The rotation key


async def test_the_rotation_key_takes_the_place_of_the_old_one(pds: Pds, alice: Account) -> None:
    did, new = Did(alice.did), pds.ctx.rotation_key
    listed = (RECOVERY.did_key, OLD.did_key)
    await change(pds, alice, rotation_keys=listed)
    with pytest.raises(PlcError):
        await pds.ctx.plc.update_handle(did, "other.test", key=new)
    assert await replace_rotation_key(pds.ctx.plc, did, old=OLD, new=new) == "replaced"
    after = await state(pds, alice)
    assert after.rotation_keys == (RECOVERY.did_key, new.did_key)
    assert await replace_rotation_key(pds.ctx.plc, did, old=OLD, new=new) == "had it"
    assert await state(pds, alice) == after
    body = {"handle": "alice2.test"}
    reply = await pds.post("com.atproto.identity.updateHandle", body, alice.auth)
    assert reply.status == 200


async def test_a_did_that_lists_both_keys_loses_the_old_one(pds: Pds, alice: Account) -> None:
    new = pds.ctx.rotation_key
    await change(pds, alice, rotation_keys=(OLD.did_key, new.did_key))
    await replace_rotation_key(pds.ctx.plc, Did(alice.did), old=OLD, new=new)
    assert (await state(pds, alice)).rotation_keys == (new.did_key,)


async def test_a_did_that_lists_neither_key_is_left_alone(pds: Pds, alice: Account) -> None:
    before = await state(pds, alice)
    outcome = await replace_rotation_key(pds.ctx.plc, Did(alice.did), old=OLD, new=RECOVERY)
    assert outcome == "not listed"
    assert await state(pds, alice) == before
