"""com.atproto.server.createAccount behind an entryway: the DID comes along, with its operation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from identity.did_document import ATPROTO_PDS, PDS_TYPE
from identity.plc_data import PlcService
from identity.plc_operation import PlcOperation
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.entryway import Entryway
from tests.pds.api.moderation import Recorder
from tests.pds.conftest import Account, Pds, Reply

CREATE = "com.atproto.server.createAccount"
STRANGER = K256PrivateKey.from_bytes(b"\x31" * 32)
INVALID = "invalid plc operation"
PDS = "DID document pds endpoint does not match service endpoint"
KEY = "DID document signing key does not match service signing key"


async def create(pds: Pds, operation: PlcOperation, handle: str, **more: Any) -> Reply:
    body = {"did": operation.did(), "handle": handle, "plcOp": operation.to_json(), **more}
    return await pds.post(CREATE, body)


async def test_the_account_is_active_and_has_no_login_here(pds: Pds, entryway: Entryway) -> None:
    key = await entryway.reserve_key()
    operation = entryway.genesis("alice.test", key)
    reply = await create(pds, operation, "Alice.test")
    assert reply.status == 200, reply.body
    did = operation.did()
    assert (reply.json["did"], reply.json["handle"]) == (did, "alice.test")
    assert reply.json["didDoc"]["id"] == did
    account = pds.ctx.accounts.get_account(did)
    assert (account.email, account.active) == (None, True)
    # The key that was reserved signs, and is not reserved any more.
    assert pds.ctx.actor_store.key(did).did_key == key
    assert pds.ctx.actor_store.keys.find_reserved(key) is None
    last = pds.plc.find_last(did)
    assert last == operation


async def test_a_key_that_was_reserved_for_the_did_is_used(pds: Pds, entryway: Entryway) -> None:
    made = await entryway.sign_up("alice.test", "pw")
    await pds.post("com.atproto.admin.deleteAccount", {"did": made.did}, pds.admin)
    key = await entryway.reserve_key(made.did)
    last = pds.plc.find_last(made.did)
    assert last is not None
    assert last.data is not None
    data = entryway.genesis("alice.test", key).data
    assert data is not None
    back = PlcOperation.sign(data, prev=last.cid, key=entryway.rotation_key)
    reply = await pds.post(
        CREATE, {"did": made.did, "handle": "alice.test", "plcOp": back.to_json()}
    )
    assert reply.status == 200, reply.body
    assert pds.ctx.actor_store.key(made.did).did_key == key
    assert pds.ctx.actor_store.keys.find_reserved(made.did) is None


async def test_the_network_hears_of_it(pds: Pds, entryway: Entryway, new_events: Recorder) -> None:
    login = await entryway.sign_up("bob.test", "pw")
    events = new_events()
    assert [one.kind for one in events] == ["identity", "account", "append", "sync"]
    assert {one.did for one in events} == {login.did}


async def test_the_session_of_the_answer_opens_nothing_here(pds: Pds, entryway: Entryway) -> None:
    """The entryway signs the sessions; those of the answer are there because a client reads it."""
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    made = (await create(pds, operation, "alice.test")).json
    for nsid, token in (
        ("com.atproto.server.checkAccountStatus", made["accessJwt"]),
        ("com.atproto.server.getSession", made["accessJwt"]),
    ):
        reply = await pds.get(nsid, {"Authorization": f"Bearer {token}"})
        assert reply.error == (400, "InvalidToken")
    refreshed = await pds.post(
        "com.atproto.server.refreshSession",
        headers={"Authorization": f"Bearer {made['refreshJwt']}"},
    )
    assert refreshed.error == (400, "InvalidToken")


@pytest.mark.parametrize("missing", ["did", "plcOp"])
async def test_did_and_operation_are_required(pds: Pds, entryway: Entryway, missing: str) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    body = {"did": operation.did(), "handle": "alice.test", "plcOp": operation.to_json()}
    del body[missing]
    # A login, as a client that signs up without the entryway brings it, does not help.
    reply = await pds.post(CREATE, {**body, "email": "a@example.com", "password": "pw"})
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "non-entryway pds requires bringing a DID and plcOp"
    assert pds.ctx.accounts.find_account("alice.test", include_inactive=True) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"also_known_as": ("at://bob.test",)}, "provided handle does not match"),
        ({"also_known_as": ()}, "provided handle does not match"),
        (
            {"services": {"atproto_pds": PlcService("Other", "http://localhost:2583")}},
            PDS,
        ),
        (
            {
                "services": {
                    "atproto_pds": PlcService(
                        "AtprotoPersonalDataServer", "https://elsewhere.example.com"
                    )
                }
            },
            PDS,
        ),
        ({"services": {}}, PDS),
        ({"rotation_keys": (STRANGER.did_key,)}, "PLC DID does not include service rotation key"),
        ({"rotation_keys": ()}, "PLC DID does not include service rotation key"),
        ({"verification_methods": {"atproto": "key"}}, INVALID),
    ],
)
async def test_an_operation_that_says_something_else_is_refused(
    pds: Pds, entryway: Entryway, changes: dict[str, Any], message: str
) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key(), **changes)
    reply = await create(pds, operation, "alice.test")
    assert reply.error == (400, "IncompatibleDidDoc")
    assert message in reply.json["message"]
    assert not pds.ctx.actor_store.exists(operation.did())


async def test_the_host_of_the_operation_may_be_written_in_capitals(
    pds: Pds, entryway: Entryway
) -> None:
    service = PlcService(PDS_TYPE, pds.ctx.settings.public_url.replace("localhost", "LocalHost"))
    assert service.endpoint != pds.ctx.settings.public_url
    operation = entryway.genesis(
        "alice.test", await entryway.reserve_key(), services={ATPROTO_PDS: service}
    )
    reply = await create(pds, operation, "alice.test")
    assert reply.status == 200, reply.body


async def test_a_key_that_is_not_reserved_is_refused(pds: Pds, entryway: Entryway) -> None:
    operation = entryway.genesis("alice.test", STRANGER.did_key)
    reply = await create(pds, operation, "alice.test")
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "reserved signing key does not exist"
    await entryway.reserve_key(operation.did())
    reply = await create(pds, operation, "alice.test")
    assert (reply.error, reply.json["message"]) == ((400, "IncompatibleDidDoc"), KEY)


async def test_a_stranger_who_reserves_a_key_for_the_did_is_not_in_the_way(
    pds: Pds, entryway: Entryway
) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    await pds.post("com.atproto.server.reserveSigningKey", {"did": operation.did()})
    assert (await create(pds, operation, "alice.test")).status == 200
    assert pds.ctx.actor_store.keys.find_reserved(operation.did()) is None


async def test_only_the_entryway_s_signature_counts(pds: Pds, entryway: Entryway) -> None:
    key = await entryway.reserve_key()
    both = (STRANGER.did_key, entryway.rotation_key.did_key)
    data = entryway.genesis("alice.test", key, rotation_keys=both).data
    assert data is not None
    # A key that may sign the DID's operations, but is not the entryway's.
    operation = PlcOperation.sign(data, prev=None, key=STRANGER)
    reply = await create(pds, operation, "alice.test")
    assert (reply.error, reply.json["message"]) == ((400, "IncompatibleDidDoc"), INVALID)


@pytest.mark.parametrize(
    "value",
    [
        {"type": "plc_tombstone", "prev": "bafyreigh2akiscaildc", "sig": "x"},
        {"type": "create", "signingKey": "x", "prev": None, "sig": "x"},
        {"type": "plc_operation"},
        {},
    ],
)
async def test_what_is_no_operation_is_refused(
    pds: Pds, entryway: Entryway, value: dict[str, Any]
) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    body = {"did": operation.did(), "handle": "alice.test", "plcOp": value}
    reply = await pds.post(CREATE, body)
    assert (reply.error, reply.json["message"]) == ((400, "IncompatibleDidDoc"), INVALID)


async def test_a_first_operation_is_for_the_did_that_it_makes(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    operation = entryway.genesis("bob.test", await entryway.reserve_key())
    other = entryway.genesis("bob.test", STRANGER.did_key).did()
    reply = await create(pds, operation, "bob.test", did=other)
    assert (reply.error, reply.json["message"]) == ((400, "IncompatibleDidDoc"), INVALID)


async def test_a_handle_of_another_account_is_refused_before_the_directory_hears_of_it(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    reply = await create(pds, operation, "alice.test")
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"].startswith("Handle already taken")
    assert pds.plc.find_last(operation.did()) is None


async def test_a_did_that_has_an_account_is_refused(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    key = await entryway.reserve_key()
    last = pds.plc.find_last(Did(alice.did))
    assert last is not None
    data = entryway.genesis("other.test", key).data
    assert data is not None
    again = PlcOperation.sign(data, prev=last.cid, key=entryway.rotation_key)
    reply = await pds.post(
        CREATE, {"did": alice.did, "handle": "other.test", "plcOp": again.to_json()}
    )
    assert reply.error == (400, "AlreadyExists")


async def test_an_entryway_that_missed_the_answer_is_told_that_the_account_is_there(
    pds: Pds, entryway: Entryway
) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    assert (await create(pds, operation, "alice.test")).status == 200
    assert (await create(pds, operation, "alice.test")).error == (400, "AlreadyExists")


async def test_what_fails_behind_the_directory_can_be_tried_again(
    pds: Pds, entryway: Entryway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory has the operation then, and refuses it; it is the one that must be there."""
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    create_rows = pds.ctx.accounts.create_account

    async def fail(*_: Any) -> Any:
        raise OSError("no disk")

    monkeypatch.setattr(pds.ctx.accounts, "create_account", fail)
    assert (await create(pds, operation, "alice.test")).status == 500
    assert pds.plc.find_last(operation.did()) == operation
    assert not pds.ctx.actor_store.exists(operation.did())
    monkeypatch.setattr(pds.ctx.accounts, "create_account", create_rows)
    assert (await create(pds, operation, "alice.test")).status == 200


async def test_of_two_at_once_one_is_made(pds: Pds, entryway: Entryway) -> None:
    operation = entryway.genesis("alice.test", await entryway.reserve_key())
    replies = await asyncio.gather(*(create(pds, operation, "alice.test") for _ in range(4)))
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400]
    assert pds.ctx.accounts.get_account(operation.did()).active
