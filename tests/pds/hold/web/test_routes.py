"""What a hold says of itself: DID document, handle, profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pds.hold.hold import HOLD
from pds.hold.records import PROFILE
from pds.hold_document import HOLD_SERVICE
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON, record, started

URL = "https://hold.example.com"
DID = "did:web:hold.example.com"
HANDLE = "hold.example.com"
NAMED = {"PDS_HOLD_PUBLIC_URL": URL}
NOBODY = {"Host": HANDLE}


async def did_document(pds: Pds) -> Any:
    reply = await pds.request("GET", "/.well-known/did.json")
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")
    return reply.json


async def test_the_did_document_has_key_handle_and_both_services(tmp_path: Path) -> None:
    async with started(tmp_path, **NAMED) as pds:
        multibase = pds.ctx.actor_store.key(DID).did_key.removeprefix("did:key:")
        assert await did_document(pds) == {
            "@context": [
                "https://www.w3.org/ns/did/v1",
                "https://w3id.org/security/multikey/v1",
                "https://w3id.org/security/suites/secp256k1-2019/v1",
            ],
            "id": DID,
            "alsoKnownAs": [f"at://{HANDLE}"],
            "verificationMethod": [
                {
                    "id": f"{DID}#atproto",
                    "type": "Multikey",
                    "controller": DID,
                    "publicKeyMultibase": multibase,
                }
            ],
            "service": [
                {
                    "id": "#atproto_pds",
                    "type": "AtprotoPersonalDataServer",
                    "serviceEndpoint": URL,
                },
                {
                    "id": f"#{HOLD_SERVICE}",
                    "type": "AtcrHoldService",
                    "serviceEndpoint": URL,
                },
            ],
        }


@pytest.mark.parametrize(
    ("url", "did", "handle"),
    [
        (URL, DID, HANDLE),
        ("https://Hold.Example.com.:443/", DID, HANDLE),
        ("https://hold.example.com:8443", "did:web:hold.example.com%3A8443", None),
        ("http://172.28.0.3:8080", "did:web:172.28.0.3%3A8080", None),
        ("https://hold.internal", "did:web:hold.internal", None),
        ("", HOLD_DID, None),
    ],
)
async def test_did_and_handle_follow_from_the_url(
    tmp_path: Path, url: str, did: str, handle: str | None
) -> None:
    async with started(tmp_path, PDS_HOLD_PUBLIC_URL=url) as pds:
        document = await did_document(pds)
        aliases = [] if handle is None else [f"at://{handle}"]
        assert (document["id"], document["alsoKnownAs"]) == (did, aliases)
        assert pds.ctx.accounts.get_account(did).handle == handle


async def test_the_host_of_the_hold_tells_its_did(tmp_path: Path) -> None:
    async with started(tmp_path, **NAMED) as pds:
        reply = await pds.request("GET", "/.well-known/atproto-did", headers=NOBODY)
        assert (reply.status, reply.body) == (200, DID.encode())
        reply = await pds.request("GET", "/.well-known/atproto-did")
        assert reply.status == 404
        reply = await pds.get("com.atproto.identity.resolveHandle", handle=HANDLE)
        assert reply.json == {"did": DID}
        reply = await pds.request("GET", f"/tls-check?domain={HANDLE}")
        assert reply.json == {"success": True}


async def test_the_own_did_is_resolved_without_the_network(tmp_path: Path) -> None:
    async with started(tmp_path, **NAMED) as pds:
        reply = await pds.get("com.atproto.repo.describeRepo", repo=HANDLE)
        assert (reply.status, reply.json["handleIsCorrect"]) == (200, True)
        assert reply.json["didDoc"] == await did_document(pds)
        assert reply.json["collections"] == [
            "app.bsky.actor.profile",
            "io.atcr.hold.captain",
            "io.atcr.hold.crew",
        ]
        # A token that the hold signs is verified with the key of that document.
        nsid = "com.atproto.server.createAccount"
        token = pds.ctx.service_tokens.get(DID, pds.ctx.settings.service_did, nsid)
        assert await pds.ctx.service_auth.verify(token, nsid=nsid) == DID


async def test_another_account_keeps_the_handle_it_had_first(tmp_path: Path) -> None:
    domains = {"PDS_SERVICE_HANDLE_DOMAINS": ".example.com"}
    async with started(tmp_path, **domains, PDS_HOLD_ENABLED="false") as pds:
        reply = await pds.post(
            "com.atproto.server.createAccount",
            {"handle": "alice.example.com", "email": "a@example.com", "password": "a password"},
        )
        assert reply.status == 200, reply.json
        rename = "com.atproto.admin.updateAccountHandle"
        body = {"did": reply.json["did"], "handle": HANDLE}
        assert (await pds.post(rename, body, pds.admin)).status == 200
    async with started(tmp_path, **domains, **NAMED) as pds:
        assert (await did_document(pds))["alsoKnownAs"] == []
        body = {"did": reply.json["did"], "handle": "alice.example.com"}
        assert (await pds.post(rename, body, pds.admin)).status == 200
    async with started(tmp_path, **domains, **NAMED) as pds:
        assert (await did_document(pds))["alsoKnownAs"] == [f"at://{HANDLE}"]


@pytest.mark.parametrize("actor", [DID, HANDLE, HANDLE.upper()])
async def test_everybody_may_see_the_profile_of_the_hold(tmp_path: Path, actor: str) -> None:
    async with started(tmp_path, **NAMED) as pds:
        profile = await record(pds, PROFILE, did=DID)
        reply = await pds.get("app.bsky.actor.getProfile", actor=actor)
        assert (reply.status, reply.json["did"], reply.json["handle"]) == (200, DID, HANDLE)
        assert reply.json["displayName"] == profile["displayName"] == HANDLE
        assert reply.json["description"] == profile["description"]
        several = await pds.get("app.bsky.actor.getProfiles", actors=actor)
        assert several.json == {"profiles": [reply.json]}


async def test_other_profiles_are_for_the_appview_as_on_any_server(tmp_path: Path) -> None:
    async with started(tmp_path, **NAMED) as pds:
        alice = await pds.create_account("alice")
        for nsid, query in (
            ("app.bsky.actor.getProfile", [("actor", alice.did)]),
            ("app.bsky.actor.getProfiles", [("actors", alice.did), ("actors", DID)]),
        ):
            reply = await pds.request("GET", f"/xrpc/{nsid}", params=query)
            assert reply.error == (401, "AuthMissing")
            reply = await pds.request("GET", f"/xrpc/{nsid}", params=query, headers=alice.auth)
            # No AppView is configured.
            assert reply.error == (400, "InvalidRequest")
        proxied = {"atproto-proxy": "did:web:appview.example.com#bsky_appview"}
        reply = await pds.get("app.bsky.actor.getProfile", proxied, actor=DID)
        assert reply.error == (401, "AuthMissing")


async def test_a_server_that_is_only_a_hold_has_no_signups(tmp_path: Path) -> None:
    async with started(tmp_path, PDS_HOLD_ONLY="true") as pds:
        reply = await pds.post(
            "com.atproto.server.createAccount",
            {"handle": "alice.test", "email": "a@example.com", "password": "a password"},
        )
        assert reply.error == (400, "InvalidRequest")
        assert "only a hold" in reply.json["message"]
        described = (await pds.get("com.atproto.server.describeServer")).json
        assert described["inviteCodeRequired"] is True
        assert described["availableUserDomains"] == []
        repos = (await pds.get("com.atproto.sync.listRepos")).json["repos"]
        assert [each["did"] for each in repos] == [HOLD_DID]
        assert HOLD in pds.app


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON, "PDS_HOLD_ENABLED": "false"}


async def test_a_server_that_is_no_hold_has_no_did_document(pds: Pds) -> None:
    assert (await pds.request("GET", "/.well-known/did.json")).status == 404
