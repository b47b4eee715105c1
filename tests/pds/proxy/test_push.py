"""app.bsky.notification: devices are registered with the service that notifies them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pds.accounts.scopes import SessionScope
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.identities import register_foreign_did
from tests.pds.upstream import APPVIEW_DID, Upstream, register_service, slam

REGISTER = "app.bsky.notification.registerPush"
UNREGISTER = "app.bsky.notification.unregisterPush"
DETAILS = "invalid notification service details in did document"
METHODS = pytest.mark.parametrize("nsid", [REGISTER, UNREGISTER])


def device(service_did: str, **more: Any) -> dict[str, Any]:
    named = {"serviceDid": service_did, "token": "t", "platform": "ios", "appId": "xyz.app"}
    return {**named, **more}


@METHODS
async def test_the_appview_is_told_of_its_devices(
    pds: Pds, alice: Account, appview: Upstream, nsid: str
) -> None:
    body = device(APPVIEW_DID, ageRestricted=True)
    reply = await pds.post(nsid, body, {**alice.auth, "atproto-proxy": "is not looked at"})
    assert (reply.status, reply.body) == (200, b"")
    assert (appview.last.method, appview.last.path) == ("POST", f"/xrpc/{nsid}")
    assert json.loads(appview.last.body) == body
    claims = appview.last.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (APPVIEW_DID, nsid)


@METHODS
async def test_another_service_is_found_by_its_did(
    pds: Pds, alice: Account, appview: Upstream, other: Upstream, nsid: str
) -> None:
    did = register_service(pds, {"bsky_notif": other.url}, kind="BskyNotificationService")
    assert (await pds.post(nsid, device(did), alice.auth)).status == 200
    claims = other.last.token_of(pds, alice)
    assert (claims["aud"], claims["lxm"]) == (did, nsid)
    assert appview.received == []


@METHODS
async def test_a_service_that_is_none_is_refused(
    pds: Pds, alice: Account, other: Upstream, nsid: str
) -> None:
    malformed = other.did_web
    other.answers_json({"id": "did:web:someone.else"})
    without = register_foreign_did(pds).did
    of_other_type = register_service(pds, {"bsky_notif": other.url})
    unknown = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
    for did, message in (
        (unknown, f"could not resolve did document: {unknown}"),
        ("did:web:nowhere.invalid", "could not resolve did document: did:web:nowhere.invalid"),
        (without, f"{DETAILS}: {without}"),
        (of_other_type, f"{DETAILS}: {of_other_type}"),
        (malformed, f"invalid did document: {malformed}"),
        ("xx", 'Invalid DID (got "xx") at $.serviceDid'),
    ):
        reply = await pds.post(nsid, device(did), alice.auth)
        assert reply.json == {"error": "InvalidRequest", "message": message}


@METHODS
async def test_strangers_register_nothing(pds: Pds, appview: Upstream, nsid: str) -> None:
    assert (await pds.post(nsid, device(APPVIEW_DID))).error == (401, "AuthMissing")
    assert appview.received == []


async def test_an_account_that_waits_may_ask_to_be_told(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    token = pds.ctx.session_tokens.create_access(Did(alice.did), SessionScope.SIGNUP_QUEUED)
    auth = {"Authorization": f"Bearer {token}"}
    assert (await pds.post(REGISTER, device(APPVIEW_DID), auth)).status == 200
    refused = await pds.post(UNREGISTER, device(APPVIEW_DID), auth)
    assert refused.error == (400, "InvalidToken")
    assert len(appview.received) == 1


@METHODS
async def test_failures_of_the_service_are_told(
    pds: Pds, alice: Account, appview: Upstream, nsid: str
) -> None:
    appview.answers_json({"error": "BadToken", "message": "Unknown device"}, status=400)
    refused = await pds.post(nsid, device(APPVIEW_DID), alice.auth)
    assert refused.json == {"error": "BadToken", "message": "Unknown device"}
    appview.answer = slam
    failed = await pds.post(nsid, device(APPVIEW_DID), alice.auth)
    assert failed.error == (502, "InternalServerError")
    assert failed.json["message"] == "Failed to perform upstream request"
