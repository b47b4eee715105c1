"""Accounts with a did:web: their documents are their owners' to change."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from tests.pds.api.conftest import HandleWorld
from tests.pds.api.signups import CREATE, create, stored_dids
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import WebDid

ACTIVATE = "com.atproto.server.activateAccount"
UPDATE = "com.atproto.identity.updateHandle"
CAROL = "carol.example.com"


async def move_in(pds: Pds, owner: WebDid, **changes: Any) -> Account:
    """Make the account of a did:web, dana.test."""
    owner.publish(handle="dana.test")
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did, **changes)
    assert reply.status == 200, reply.json
    answer = reply.json
    return Account(
        answer["did"],
        answer["handle"],
        "dana@example.com",
        "dana-password",
        answer["accessJwt"],
        answer["refreshJwt"],
    )


async def activate(pds: Pds, account: Account) -> Reply:
    return await pds.post(ACTIVATE, headers=account.auth)


@pytest.fixture
async def dana(pds: Pds, web_did: WebDid) -> Account:
    """dana.test, an active account of `web_did`."""
    account = await move_in(pds, web_did)
    web_did.publish_for(pds, handle="dana.test")
    assert (await activate(pds, account)).status == 200
    return account


# --- Moving in


async def test_its_owner_proves_it_with_the_key_of_its_document(pds: Pds, web_did: WebDid) -> None:
    account = await move_in(pds, web_did)
    assert account.did == web_did.did
    assert read_events(pds) == []
    session = await pds.get("com.atproto.server.getSession", account.auth)
    assert (session.json["active"], session.json["status"]) == (False, "deactivated")
    assert pds.ctx.actor_store.key(web_did.did).did_key != web_did.key.did_key


async def test_nobody_else_moves_it(pds: Pds, web_did: WebDid) -> None:
    unproven = await create(pds, did=web_did.did)
    assert unproven.json["message"] == f"Missing auth to create account with did: {web_did.did}"
    unpublished = await create(pds, web_did.auth(pds, CREATE), did=web_did.did)
    assert unpublished.json == {
        "error": "AuthenticationRequired",
        "message": "could not resolve iss did",
    }
    other = WebDid.on(web_did.host)
    web_did.publish(handle="dana.test")
    forged = await create(pds, other.auth(pds, CREATE), did=web_did.did)
    assert forged.error == (401, "BadJwtSignature")
    assert await stored_dids(pds) == []


async def test_it_may_bring_a_handle_that_leads_to_it(
    pds: Pds, web_did: WebDid, handle_world: HandleWorld
) -> None:
    web_did.publish(handle=CAROL)
    auth = web_did.auth(pds, CREATE)
    refused = await create(pds, auth, did=web_did.did, handle=CAROL)
    assert refused.json["message"] == "External handle did not resolve to DID"
    handle_world.publish(CAROL, web_did.did)
    assert (await create(pds, auth, did=web_did.did, handle=CAROL)).status == 200


# --- Activation


async def test_it_is_activated_once_its_document_leads_here(pds: Pds, web_did: WebDid) -> None:
    account = await move_in(pds, web_did)
    url = pds.ctx.settings.public_url
    key = pds.ctx.actor_store.key(web_did.did).did_key
    endpoint_wrong = "DID document atproto_pds service endpoint does not match PDS public url"
    key_wrong = "DID document verification method does not match expected signing key"
    for document, message in (
        ({"handle": "dana.test", "key": key}, endpoint_wrong),
        ({"handle": "dana.test", "endpoint": url}, key_wrong),
    ):
        web_did.publish(**document)
        reply = await activate(pds, account)
        assert reply.json == {"error": "InvalidRequest", "message": message}
    web_did.host.pages.clear()
    assert (await activate(pds, account)).json["message"] == "Could not resolve DID"
    assert read_events(pds) == []
    # The reference, too, leaves it to consumers what the document says of the handle.
    web_did.publish(handle="other.example.com", key=key, endpoint=url)
    assert (await activate(pds, account)).status == 200
    events = read_events(pds)
    assert kinds_of(events) == ["account", "identity", "sync"]
    assert events[1].body == {"did": web_did.did, "handle": "dana.test"}


async def test_what_it_should_say_is_recommended(pds: Pds, web_did: WebDid) -> None:
    """Without rotation keys, of which only a did:plc has any."""
    account = await move_in(pds, web_did)
    reply = await pds.get("com.atproto.identity.getRecommendedDidCredentials", account.auth)
    assert reply.json == {
        "alsoKnownAs": ["at://dana.test"],
        "verificationMethods": {"atproto": pds.ctx.actor_store.key(web_did.did).did_key},
        "services": {
            "atproto_pds": {
                "type": "AtprotoPersonalDataServer",
                "endpoint": pds.ctx.settings.public_url,
            }
        },
    }


async def test_an_active_one_is_an_account_like_any_other(
    pds: Pds, web_did: WebDid, dana: Account
) -> None:
    await pds.post_text(dana)
    described = (await pds.get("com.atproto.repo.describeRepo", repo="dana.test")).json
    assert (described["did"], described["handleIsCorrect"]) == (web_did.did, True)
    resolved = await pds.get("com.atproto.identity.resolveHandle", handle="dana.test")
    assert resolved.json == {"did": web_did.did}
    token = await pds.get("com.atproto.server.getServiceAuth", dana.auth, aud="did:web:localhost")
    claims = jwt.decode(token.json["token"], options={"verify_signature": False})
    assert claims["iss"] == web_did.did
    deleted = await pds.post("com.atproto.admin.deleteAccount", {"did": web_did.did}, pds.admin)
    assert deleted.status == 200
    assert await stored_dids(pds) == []


# --- Changes


async def test_its_document_names_a_new_handle_before_the_account_has_it(
    pds: Pds, web_did: WebDid, dana: Account
) -> None:
    before = pds.ctx.sequencer.current_seq

    async def update(by_admin: bool) -> Reply:
        if by_admin:
            body = {"did": dana.did, "handle": "dora.test"}
            return await pds.post("com.atproto.admin.updateAccountHandle", body, pds.admin)
        return await pds.post(UPDATE, {"handle": "dora.test"}, dana.auth)

    pages = dict(web_did.host.pages)
    for unpublished in (pages, {}):
        web_did.host.pages = unpublished
        for by_admin in (False, True):
            refused = await update(by_admin)
            assert (refused.status, refused.json) == (
                400,
                {
                    "error": "InvalidRequest",
                    "message": "DID is not properly configured for handle",
                },
            )
    assert pds.ctx.sequencer.current_seq == before
    web_did.publish_for(pds, handle="dora.test")
    for by_admin in (False, True):
        assert (await update(by_admin)).status == 200
    events = read_events(pds, after=before)
    assert [(event.kind, event.body["handle"]) for event in events] == [
        ("identity", "dora.test")
    ] * 2
    described = (await pds.get("com.atproto.repo.describeRepo", repo="dora.test")).json
    assert described["handleIsCorrect"] is True


async def test_its_document_alone_does_not_give_it_a_handle(
    pds: Pds, web_did: WebDid, dana: Account, handle_world: HandleWorld, alice: Account
) -> None:
    for handle, message in (
        (CAROL, "External handle did not resolve to DID"),
        (alice.handle, f"Handle already taken: {alice.handle}"),
        ("admin.test", "Reserved handle"),
    ):
        web_did.publish_for(pds, handle=handle)
        reply = await pds.post(UPDATE, {"handle": handle}, dana.auth)
        assert reply.json["message"] == message
    handle_world.publish(CAROL, web_did.did)
    web_did.publish_for(pds, handle=CAROL)
    assert (await pds.post(UPDATE, {"handle": CAROL}, dana.auth)).status == 200


async def test_it_has_no_plc_operations(pds: Pds, dana: Account) -> None:
    for name, body in (
        ("signPlcOperation", {"token": "AAAAA-BBBBB"}),
        ("submitPlcOperation", {"operation": {}}),
    ):
        reply = await pds.post(f"com.atproto.identity.{name}", body, dana.auth)
        assert (reply.status, reply.json) == (
            400,
            {
                "error": "InvalidRequest",
                "message": f"PLC operations are for did:plc accounts only: {dana.did}",
            },
        )
