"""com.atproto.identity: finding whose handle it is, and taking another one."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest

from database.errors import DatabaseBusy
from identity.plc_data import InvalidPlcOperation
from repo.syntax import Did
from tests.pds.api.conftest import HandleWorld
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events

RESOLVE = "com.atproto.identity.resolveHandle"
UPDATE = "com.atproto.identity.updateHandle"
CAROL = "carol.example.com"
SOMEBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


async def resolve(pds: Pds, handle: str) -> Reply:
    return await pds.get(RESOLVE, handle=handle)


async def update(pds: Pds, account: Account, handle: str) -> Reply:
    return await pds.post(UPDATE, {"handle": handle}, account.auth)


async def did_handle(pds: Pds, did: str) -> Any:
    """The handle that a DID claims in the directory."""
    last = pds.plc.find_last(Did(did))
    assert last is not None
    assert last.data is not None
    return last.data.also_known_as


async def account_handle(pds: Pds, account: Account) -> Any:
    return (await pds.get("com.atproto.server.getSession", account.auth)).json["handle"]


# --- resolveHandle


async def test_handles_of_accounts_here_are_known(pds: Pds, alice: Account) -> None:
    for spelling in (alice.handle, "ALICE.Test"):
        reply = await resolve(pds, spelling)
        assert (reply.status, reply.json) == (200, {"did": alice.did})


async def test_a_handle_of_ours_that_nobody_has_is_not_found(
    pds: Pds, handle_world: HandleWorld
) -> None:
    reply = await resolve(pds, "nobody.test")
    assert reply.json == {"error": "HandleNotFound", "message": "Unable to resolve handle"}
    assert handle_world.dns.queries == []


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("x", 'Invalid com.atproto.identity.resolveHandle params: Invalid handle (got "x")'),
        (None, 'Invalid com.atproto.identity.resolveHandle params: Missing required key "handle"'),
    ],
)
async def test_what_is_no_handle_is_not_looked_up(
    pds: Pds, handle: str | None, message: str
) -> None:
    reply = await pds.get(RESOLVE) if handle is None else await resolve(pds, handle)
    assert reply.json == {"error": "InvalidRequest", "message": message}


async def test_other_handles_are_looked_up(pds: Pds, handle_world: HandleWorld) -> None:
    handle_world.publish(CAROL, SOMEBODY)
    assert (await resolve(pds, CAROL)).json == {"did": SOMEBODY}
    handle_world.host.answer("/.well-known/atproto-did", "did:web:dave.example.com")
    assert (await resolve(pds, "dave.example.com")).json == {"did": "did:web:dave.example.com"}


async def test_other_handles_that_lead_nowhere_are_not_found(
    pds: Pds, handle_world: HandleWorld
) -> None:
    reply = await resolve(pds, CAROL)
    assert (reply.status, reply.json["message"]) == (400, "Unable to resolve handle")
    assert handle_world.dns.queries == [f"_atproto.{CAROL}"]


async def test_other_handles_that_cannot_be_looked_up_are_not_denied(
    pds: Pds, handle_world: HandleWorld
) -> None:
    handle_world.dns.broken.add(f"_atproto.{CAROL}")
    handle_world.names.is_up = False
    reply = await resolve(pds, CAROL)
    assert reply.json == {"error": "InvalidRequest", "message": "Unable to resolve handle"}


async def test_an_external_handle_of_an_account_here_is_not_looked_up(
    pds: Pds, alice: Account, handle_world: HandleWorld
) -> None:
    handle_world.publish(CAROL, alice.did)
    assert (await update(pds, alice, CAROL)).status == 200
    handle_world.dns.queries.clear()
    assert (await resolve(pds, CAROL)).json == {"did": alice.did}
    assert handle_world.dns.queries == []


# --- updateHandle


async def test_another_hosted_handle_changes_did_account_and_log(pds: Pds, alice: Account) -> None:
    before = pds.ctx.sequencer.current_seq
    reply = await update(pds, alice, "Dana.test")
    assert (reply.status, reply.body) == (200, b"")
    assert await did_handle(pds, alice.did) == ("at://dana.test",)
    assert await account_handle(pds, alice) == "dana.test"
    (event,) = read_events(pds, after=before)
    assert (event.kind, event.body) == ("identity", {"did": alice.did, "handle": "dana.test"})
    assert (await resolve(pds, "dana.test")).json == {"did": alice.did}
    assert (await resolve(pds, "alice.test")).error == (400, "HandleNotFound")


async def test_the_changed_did_document_is_served_at_once(pds: Pds, alice: Account) -> None:
    describe = "com.atproto.repo.describeRepo"
    assert (await pds.get(describe, repo=alice.did)).json["handleIsCorrect"] is True
    await update(pds, alice, "dana.test")
    described = (await pds.get(describe, repo=alice.did)).json
    assert described["didDoc"]["alsoKnownAs"] == ["at://dana.test"]
    assert described["handleIsCorrect"] is True


async def test_the_same_handle_again_is_told_again(pds: Pds, alice: Account) -> None:
    before = pds.ctx.sequencer.current_seq
    assert (await update(pds, alice, alice.handle)).status == 200
    assert kinds_of(read_events(pds, after=before)) == ["identity"]
    assert len(pds.plc.log(Did(alice.did))) == 2


async def test_a_free_handle_can_be_taken_by_another(
    pds: Pds, alice: Account, bob: Account
) -> None:
    assert (await update(pds, alice, "dana.test")).status == 200
    assert (await update(pds, bob, "alice.test")).status == 200
    assert (await resolve(pds, "alice.test")).json == {"did": bob.did}


@pytest.mark.parametrize(
    ("handle", "error", "message"),
    [
        ("x", "InvalidRequest", 'Invalid handle (got "x") at $.handle'),
        ("bob.test", "HandleNotAvailable", "Handle already taken: bob.test"),
        ("admin.test", "HandleNotAvailable", "Reserved handle"),
        ("al.test", "InvalidHandle", "Handle too short"),
        ("a.b.test", "InvalidHandle", "Invalid characters in handle"),
        ("alice.onion", "InvalidHandle", "Handle TLD is invalid or disallowed"),
        (CAROL, "InvalidRequest", "External handle did not resolve to DID"),
    ],
)
@pytest.mark.usefixtures("bob", "handle_world")
async def test_handles_that_cannot_be_had_change_nothing(
    pds: Pds, alice: Account, handle: str, error: str, message: str
) -> None:
    before = pds.ctx.sequencer.current_seq
    reply = await update(pds, alice, handle)
    assert (reply.status, reply.json) == (400, {"error": error, "message": message})
    assert await account_handle(pds, alice) == alice.handle
    assert len(pds.plc.log(Did(alice.did))) == 1
    assert pds.ctx.sequencer.current_seq == before


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_the_handle_of_an_inactive_account_is_not_given_away(
    pds: Pds, alice: Account, bob: Account, state: str
) -> None:
    if state == "deactivated":
        await pds.ctx.accounts.states.deactivate(Did(bob.did))
    else:
        await pds.ctx.accounts.states.takedown(Did(bob.did))
    assert (await update(pds, alice, bob.handle)).error == (400, "HandleNotAvailable")


@pytest.mark.parametrize("by", ["dns", "web"])
async def test_an_external_handle_must_lead_to_the_account(
    pds: Pds, alice: Account, handle_world: HandleWorld, by: Literal["dns", "web"]
) -> None:
    handle_world.publish(CAROL, SOMEBODY, by=by)
    assert (await update(pds, alice, CAROL)).json["message"] == (
        "External handle did not resolve to DID"
    )
    handle_world.publish(CAROL, alice.did, by=by)
    assert (await update(pds, alice, CAROL)).status == 200
    assert await did_handle(pds, alice.did) == (f"at://{CAROL}",)
    assert (await resolve(pds, "alice.test")).error == (400, "HandleNotFound")


async def test_accounts_in_and_out_of_order_change_handles(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.deactivate(Did(alice.did))
    assert (await update(pds, alice, "dana.test")).status == 200
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    assert (await update(pds, alice, "dora.test")).error == (401, "AccountTakedown")


async def test_a_refusal_of_the_directory_changes_nothing(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InvalidPlcOperation("the directory does not like it")

    before = pds.ctx.sequencer.current_seq
    monkeypatch.setattr(pds.plc, "append", refuse)
    reply = await update(pds, alice, "dana.test")
    assert reply.json == {"error": "InvalidRequest", "message": "the directory does not like it"}
    assert await account_handle(pds, alice) == alice.handle
    assert pds.ctx.sequencer.current_seq == before


async def test_of_two_who_want_one_handle_one_gets_it(
    pds: Pds, alice: Account, bob: Account
) -> None:
    """The DID of the other goes on naming the handle that it has."""
    replies = await asyncio.gather(update(pds, alice, "dana.test"), update(pds, bob, "dana.test"))
    assert sorted(reply.status for reply in replies) == [200, 400]
    for account, reply in zip((alice, bob), replies, strict=True):
        handle = "dana.test" if reply.status == 200 else account.handle
        assert await account_handle(pds, account) == handle
        assert await did_handle(pds, account.did) == (f"at://{handle}",)
        if reply.status != 200:
            assert reply.error == (400, "HandleNotAvailable")


async def test_a_failure_of_the_service_database_gives_the_did_its_handle_back(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseBusy("account.sqlite", "locked")

    monkeypatch.setattr(pds.ctx.accounts, "update_handle", fail)
    assert (await update(pds, alice, "dana.test")).error == (503, "NotEnoughResources")
    assert await did_handle(pds, alice.did) == ("at://alice.test",)


async def test_the_failure_is_reported_even_when_the_did_cannot_be_changed_back(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise InvalidPlcOperation("the directory does not like it")

    async def fail(*_: object) -> None:
        monkeypatch.setattr(pds.plc, "append", refuse)
        raise DatabaseBusy("account.sqlite", "locked")

    monkeypatch.setattr(pds.ctx.accounts, "update_handle", fail)
    assert (await update(pds, alice, "dana.test")).error == (503, "NotEnoughResources")
    assert await account_handle(pds, alice) == alice.handle


async def test_a_handle_that_was_set_up_a_moment_ago_is_found(
    pds: Pds, alice: Account, handle_world: HandleWorld
) -> None:
    """Although it is remembered that it led nowhere before."""
    assert (await pds.get(RESOLVE, handle=CAROL)).error == (400, "HandleNotFound")
    handle_world.publish(CAROL, alice.did)
    assert (await pds.get(RESOLVE, handle=CAROL)).error == (400, "HandleNotFound")
    assert (await pds.post(UPDATE, {"handle": CAROL}, alice.auth)).status == 200
    assert (await pds.get(RESOLVE, handle=CAROL)).json == {"did": alice.did}
