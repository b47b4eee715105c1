"""Deactivation, activation and takedowns of accounts, and the events that tell of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.api.moderation import (
    NOTE,
    PNG,
    REVERSED,
    STATUS,
    Recorder,
    applied,
    repo_ref,
    update_account,
)
from tests.pds.conftest import Account, Pds
from tests.pds.events import LoggedEvent, kinds_of

ACTIVATE = "com.atproto.server.activateAccount"
DEACTIVATE = "com.atproto.server.deactivateAccount"


def account_event(account: Account, status: str | None) -> list[tuple[str, dict[str, Any]]]:
    """What the log says when only the state of an account was told."""
    told: dict[str, Any] = {"did": account.did, "active": status is None}
    return [("account", told if status is None else {**told, "status": status})]


def bodies_of(events: list[LoggedEvent]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.kind, event.body) for event in events]


# --- Deactivation and activation by the user


async def test_deactivation_and_activation_are_told(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    reply = await pds.post(DEACTIVATE, {}, alice.auth)
    assert (reply.status, reply.body) == (200, b"")
    assert bodies_of(new_events()) == account_event(alice, "deactivated")
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert (reply.status, reply.body) == (200, b"")
    account, identity, sync = new_events()
    assert (account.kind, account.body) == account_event(alice, None)[0]
    assert (identity.kind, identity.body) == (
        "identity",
        {"did": alice.did, "handle": alice.handle},
    )
    assert (sync.kind, sync.body["did"]) == ("sync", alice.did)
    latest = (await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)).json
    assert sync.body["rev"] == latest["rev"]


async def test_activating_an_active_account_tells_it_again(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    assert (await pds.post(ACTIVATE, headers=alice.auth)).status == 200
    assert kinds_of(new_events()) == ["account", "identity", "sync"]


async def test_the_date_of_deletion_is_kept_until_the_account_is_activated(
    pds: Pds, alice: Account
) -> None:
    def delete_after() -> str | None:
        return pds.ctx.accounts.get_account(alice.did, include_inactive=True).delete_after

    at = "2030-01-01T00:00:00.000Z"
    await pds.post(DEACTIVATE, {"deleteAfter": at}, alice.auth)
    assert delete_after() == at
    await pds.post(ACTIVATE, headers=alice.auth)
    assert delete_after() is None
    wrong = await pds.post(DEACTIVATE, {"deleteAfter": "tomorrow"}, alice.auth)
    assert wrong.error == (400, "InvalidRequest")


async def test_activation_has_no_body(pds: Pds, alice: Account) -> None:
    reply = await pds.post(ACTIVATE, {}, alice.auth)
    assert reply.json["message"] == "A request body was provided when none was expected"


async def test_a_deactivated_account_does_not_write(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    new_events()
    body = {"repo": alice.did, "collection": NOTE, "record": {}}
    reply = await pds.post("com.atproto.repo.createRecord", body, alice.auth)
    assert reply.json == {"error": "AccountDeactivated", "message": "Account is deactivated"}
    assert reply.status == 401
    assert new_events() == []
    assert (await pds.upload(alice, PNG)).status == 200


# --- Activation checks that the DID leads here


def _without_rotation_key(data: PlcData) -> PlcData:
    return replace(data, rotation_keys=(K256PrivateKey.from_bytes(b"\x05" * 32).did_key,))


def _at_another_server(data: PlcData) -> PlcData:
    service = PlcService("AtprotoPersonalDataServer", "https://elsewhere.example.com")
    return replace(data, services={"atproto_pds": service})


def _with_another_signing_key(data: PlcData) -> PlcData:
    return replace(
        data, verification_methods={"atproto": K256PrivateKey.from_bytes(b"\x06" * 32).did_key}
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_rotation_key, "Server rotation key not included in PLC DID data"),
        (
            _at_another_server,
            "DID document atproto_pds service endpoint does not match PDS public url",
        ),
        (
            _with_another_signing_key,
            "DID document verification method does not match expected signing key",
        ),
    ],
)
async def test_an_account_is_activated_only_where_its_did_leads(
    pds: Pds,
    alice: Account,
    new_events: Recorder,
    change: Callable[[PlcData], PlcData],
    message: str,
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    await pds.ctx.plc.update(Did(alice.did), change, key=pds.ctx.rotation_key)
    new_events()
    for reply in (
        await pds.post(ACTIVATE, headers=alice.auth),
        await update_account(pds, alice, deactivated=REVERSED),
    ):
        assert reply.json == {"error": "InvalidRequest", "message": message}
    assert new_events() == []
    assert not pds.ctx.accounts.get_account(alice.did, include_inactive=True).active


async def test_an_account_whose_did_is_gone_is_not_activated(pds: Pds, alice: Account) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    did = Did(alice.did)
    last = pds.plc.find_last(did)
    assert last is not None
    pds.plc.append(did, PlcOperation.sign_tombstone(prev=last.cid, key=pds.ctx.rotation_key))
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert reply.json == {"error": "InvalidRequest", "message": "Could not resolve DID"}


async def test_a_directory_that_is_away_is_not_the_account_s_fault(
    pds: Pds, alice: Account
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    pds.ctx.plc.url = "http://127.0.0.1:1"
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert reply.error == (502, "UpstreamFailure")


async def test_a_taken_down_account_is_not_activated_by_its_user(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    await update_account(pds, alice, takedown=applied())
    new_events()
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert reply.json == {"error": "AccountNotFound", "message": "user not found"}
    assert new_events() == []


# --- Takedowns by the administrator


async def test_a_takedown_and_its_reversal_are_told(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    reply = await update_account(pds, alice, takedown=applied("case-1"))
    assert reply.json == {"subject": repo_ref(alice), "takedown": applied("case-1")}
    assert bodies_of(new_events()) == account_event(alice, "takendown")
    reply = await update_account(pds, alice, takedown={"applied": False, "ref": "case-1"})
    assert reply.status == 200
    assert bodies_of(new_events()) == account_event(alice, None)


async def test_the_reversal_of_a_takedown_leaves_a_deactivation(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    await update_account(pds, alice, takedown=applied())
    await update_account(pds, alice, takedown=REVERSED)
    assert [event.body["status"] for event in new_events()] == [
        "deactivated",
        "takendown",
        "deactivated",
    ]


async def test_a_takedown_without_a_reference_gets_the_time(pds: Pds, alice: Account) -> None:
    await update_account(pds, alice, takedown=applied())
    status = (await pds.get(STATUS, pds.admin, did=alice.did)).json
    taken = datetime.fromisoformat(status["takedown"]["ref"])
    assert taken.tzinfo is not None
    assert abs((datetime.now(UTC) - taken).total_seconds()) < 60
    assert status["takedown"]["ref"].endswith("Z")


async def test_the_administrator_deactivates_and_activates(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    await update_account(pds, alice, deactivated=applied())
    assert bodies_of(new_events()) == account_event(alice, "deactivated")
    await update_account(pds, alice, deactivated=REVERSED)
    assert kinds_of(new_events()) == ["account", "identity", "sync"]


async def test_a_status_can_be_told_again_without_a_change(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    reply = await update_account(pds, alice)
    assert reply.json == {"subject": repo_ref(alice)}
    assert bodies_of(new_events()) == account_event(alice, None)


async def test_an_account_is_not_activated_and_taken_down_at_once(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    reply = await update_account(pds, alice, takedown=applied(), deactivated=REVERSED)
    assert reply.json == {
        "error": "InvalidRequest",
        "message": "Cannot activate and takedown an account at the same time",
    }
    assert new_events() == []
    reply = await update_account(pds, alice, takedown=applied(), deactivated=applied())
    assert reply.status == 200


@pytest.mark.parametrize(
    "changes", [{"takedown": applied()}, {"takedown": REVERSED}, {"deactivated": applied()}]
)
async def test_an_unknown_account_has_no_state_to_change(
    pds: Pds, alice: Account, new_events: Recorder, changes: dict[str, Any]
) -> None:
    alice.did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    assert (await update_account(pds, alice, **changes)).error == (400, "AccountNotFound")
    assert new_events() == []
