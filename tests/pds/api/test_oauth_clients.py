"""Endpoints that OAuth clients call: what they see and write with the scopes that they have."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from database.timestamps import now_iso
from pds.service_auth.jwt import read_service_jwt
from tests.pds.conftest import Account, Pds
from tests.pds.oauth.permission_sets.lexicons import NSID, permission_set
from tests.pds.oauth.tokens_of import sign_in

APPLY = "com.atproto.repo.applyWrites"
CREATE = "com.atproto.repo.createRecord"
SERVICE_AUTH = "com.atproto.server.getServiceAuth"
NOTE, EVENT = "com.example.note", "com.example.calendar.event"


def write(action: str, collection: str, rkey: str = "a") -> dict[str, Any]:
    value = {} if action == "delete" else {"value": {"$type": collection}}
    return {"$type": f"{APPLY}#{action}", "collection": collection, "rkey": rkey, **value}


@pytest.mark.parametrize(
    ("scope", "has_email"),
    [
        ("atproto", False),
        ("atproto transition:generic", False),
        ("atproto account:repo?action=manage", False),
        ("atproto transition:email", True),
        ("atproto account:email", True),
        ("atproto account:email?action=manage", True),
    ],
)
async def test_the_address_is_for_those_who_may_read_it(
    pds: Pds, alice: Account, scope: str, has_email: bool
) -> None:
    session = (
        await (await sign_in(pds, alice.did, scope)).get("com.atproto.server.getSession")
    ).json
    assert session["did"] == alice.did
    assert session.keys() >= {"handle", "active"}
    shown = {"email": alice.email, "emailConfirmed": False}
    about_email = shown if has_email else {}
    assert {name: session[name] for name in session if name.startswith("email")} == about_email


async def test_records_are_written_with_the_scopes_for_them(pds: Pds, alice: Account) -> None:
    caller = await sign_in(pds, alice.did, f"atproto repo:{NOTE} repo:{EVENT}?action=delete")
    writes = [write("create", NOTE), write("create", NOTE, "b"), write("delete", NOTE, "b")]
    body = {"repo": alice.did, "writes": writes}
    assert (await caller.post(APPLY, body)).status == 200
    record = await pds.get("com.atproto.repo.getRecord", repo=alice.did, collection=NOTE, rkey="a")
    assert record.json["value"] == {"$type": NOTE}


@pytest.mark.parametrize(
    ("writes", "missing"),
    [
        ([write("create", NOTE), write("create", EVENT)], f"repo:{EVENT}?action=create"),
        ([write("delete", NOTE)], f"repo:{NOTE}?action=delete"),
        (
            [write("delete", NOTE), write("update", EVENT), write("create", EVENT)],
            f"repo:{EVENT}?action=create",
        ),
        ([write("delete", EVENT), write("update", EVENT)], f"repo:{EVENT}?action=update"),
    ],
)
async def test_one_write_without_its_scope_refuses_all(
    pds: Pds, alice: Account, writes: list[dict[str, Any]], missing: str
) -> None:
    caller = await sign_in(pds, alice.did, f"atproto repo:{NOTE}?action=create")
    reply = await caller.post(APPLY, {"repo": alice.did, "writes": writes})
    assert reply.error == (403, "ScopeMissingError")
    assert reply.json["message"] == f'Missing required scope "{missing}"'
    listed = await pds.get("com.atproto.repo.listRecords", repo=alice.did, collection=NOTE)
    assert listed.json["records"] == []


async def test_the_number_of_writes_comes_before_their_scopes(pds: Pds, alice: Account) -> None:
    caller = await sign_in(pds, alice.did, "atproto")
    writes = [write("create", NOTE, f"r{index}") for index in range(201)]
    reply = await caller.post(APPLY, {"repo": alice.did, "writes": writes})
    assert (reply.error, reply.json["message"]) == (
        (400, "InvalidRequest"),
        "Too many writes. Max: 200",
    )


async def test_another_s_repository_stays_closed(pds: Pds, alice: Account, bob: Account) -> None:
    caller = await sign_in(pds, alice.did, "atproto transition:generic")
    body = {"repo": bob.did, "collection": NOTE, "record": {"$type": NOTE}}
    assert (await caller.post(CREATE, body)).error == (401, "AuthenticationRequired")


async def test_a_permission_set_opens_what_it_lists(pds: Pds, alice: Account) -> None:
    pds.ctx.accounts.db.run(
        "INSERT INTO lexicon (nsid, createdAt, updatedAt, lexicon) VALUES (?1, ?2, ?2, ?3)",
        (NSID, now_iso(), orjson.dumps(permission_set()).decode()),
    )
    caller = await sign_in(pds, alice.did, f"atproto include:{NSID}")
    body = {"repo": alice.did, "collection": EVENT, "record": {"$type": EVENT}}
    assert (await caller.post(CREATE, body)).status == 200
    assert (await caller.post(CREATE, {**body, "collection": NOTE})).status == 403


@pytest.mark.parametrize(
    ("scope", "params", "is_given"),
    [
        ("transition:generic", {"aud": "did:web:a.b"}, True),
        ("transition:generic", {"aud": "did:web:a.b", "lxm": "com.example.get"}, True),
        ("transition:generic", {"aud": "did:web:a.b", "lxm": "chat.bsky.convo.getLog"}, False),
        ("transition:chat.bsky", {"aud": "did:web:a.b", "lxm": "chat.bsky.convo.getLog"}, True),
        ("rpc:com.example.get?aud=*", {"aud": "did:web:a.b", "lxm": "com.example.get"}, True),
        ("rpc:com.example.get?aud=*", {"aud": "did:web:a.b"}, False),
        ("rpc:*?aud=did:web:a.b%23x", {"aud": "did:web:a.b#x"}, True),
        ("rpc:*?aud=did:web:a.b%23x", {"aud": "did:web:a.b"}, False),
        ("rpc:*?aud=did:web:a.b%23x", {"aud": "did:web:a.b#y"}, False),
    ],
)
async def test_service_tokens_are_for_what_the_scopes_name(
    pds: Pds, alice: Account, scope: str, params: dict[str, str], is_given: bool
) -> None:
    caller = await sign_in(pds, alice.did, f"atproto {scope}")
    reply = await caller.get(SERVICE_AUTH, None, **params)
    if not is_given:
        assert reply.error == (403, "ScopeMissingError")
        return
    claims = read_service_jwt(reply.json["token"]).claims
    assert (claims["iss"], claims["aud"]) == (alice.did, params["aud"])
    assert claims.get("lxm") == params.get("lxm")


async def test_no_scope_gives_service_tokens_for_methods_of_the_account_itself(
    pds: Pds, alice: Account
) -> None:
    caller = await sign_in(pds, alice.did, "atproto transition:generic")
    lxm = "com.atproto.server.createAppPassword"
    reply = await caller.get(SERVICE_AUTH, None, aud="did:web:a.b", lxm=lxm)
    assert reply.error == (400, "InvalidRequest")
    assert "protected method" in reply.json["message"]


@pytest.mark.parametrize(
    ("scope", "media_type", "status"),
    [
        ("blob:image/*", "image/png", 200),
        ("blob:*/*", "application/x-unheard-of", 200),
        ("transition:generic", "text/plain", 200),
        ("blob:image/*", "text/plain", 403),
        ("repo:*", "image/png", 403),
    ],
)
async def test_blobs_are_uploaded_by_their_type(
    pds: Pds, alice: Account, scope: str, media_type: str, status: int
) -> None:
    caller = await sign_in(pds, alice.did, f"atproto {scope}")
    reply = await caller.request(
        "POST",
        "/xrpc/com.atproto.repo.uploadBlob",
        headers={"Content-Type": media_type},
        data=b"some bytes",
    )
    assert reply.status == status
