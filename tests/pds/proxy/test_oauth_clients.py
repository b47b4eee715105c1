"""Requests of OAuth clients that go to other services."""

from __future__ import annotations

import pytest

from tests.pds.conftest import Account, Pds
from tests.pds.oauth.tokens_of import sign_in
from tests.pds.proxy.conftest import MOD_DID
from tests.pds.upstream import APPVIEW_DID, Upstream, register_service, via

SEARCH = "app.bsky.actor.searchActors"
LOG = "chat.bsky.convo.getLog"
PREFERENCES = "app.bsky.actor.getPreferences"
APPVIEW = f"{APPVIEW_DID}%23bsky_appview"
BORN = {
    "$type": "app.bsky.actor.defs#personalDetailsPref",
    "birthDate": "1990-01-01T00:00:00.000Z",
}


@pytest.mark.parametrize(
    "scope",
    ["transition:generic", f"rpc:{SEARCH}?aud={APPVIEW}", f"rpc:*?aud={APPVIEW}"],
)
async def test_a_request_goes_on_with_a_token_of_the_account(
    pds: Pds, alice: Account, appview: Upstream, scope: str
) -> None:
    caller = await sign_in(pds, alice.did, f"atproto {scope}")
    reply = await caller.get(SEARCH, None, q="x")
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert "DPoP-Nonce" in reply.headers
    claims = appview.last.token_of(pds, alice)
    assert (claims["iss"], claims["aud"], claims["lxm"]) == (alice.did, APPVIEW_DID, SEARCH)
    assert "DPoP" not in appview.last.headers


@pytest.mark.parametrize(
    ("scope", "nsid", "missing"),
    [
        (f"rpc:{SEARCH}?aud={MOD_DID}%23x", SEARCH, f"rpc:{SEARCH}?aud={APPVIEW}"),
        (f"rpc:{LOG}?aud=*", SEARCH, f"rpc:{SEARCH}?aud={APPVIEW}"),
        ("transition:generic", LOG, f"rpc:{LOG}?aud={APPVIEW}"),
        ("transition:chat.bsky", SEARCH, f"rpc:{SEARCH}?aud={APPVIEW}"),
        (
            "transition:chat.bsky",
            "tools.ozone.moderation.emitEvent",
            f"rpc:tools.ozone.moderation.emitEvent?aud={MOD_DID}%23atproto_labeler",
        ),
    ],
)
async def test_a_request_without_its_scope_goes_nowhere(
    pds: Pds, alice: Account, appview: Upstream, scope: str, nsid: str, missing: str
) -> None:
    reply = await (await sign_in(pds, alice.did, f"atproto {scope}")).get(nsid)
    assert reply.error == (403, "ScopeMissingError")
    assert reply.json["message"] == f'Missing required scope "{missing}"'
    assert appview.received == []


async def test_a_named_service_is_the_one_that_the_scope_must_name(
    pds: Pds, alice: Account, other: Upstream
) -> None:
    did = register_service(pds, {"thing": other.url, "else": other.url})
    caller = await sign_in(pds, alice.did, f"atproto rpc:*?aud={did}%23thing")
    assert (await caller.get(SEARCH, via(did, "thing"))).json == {"ok": True}
    assert other.last.claims["aud"] == did
    assert (await caller.get(SEARCH, via(did, "else"))).error == (403, "ScopeMissingError")
    assert (await caller.get(SEARCH)).error == (403, "ScopeMissingError")


async def test_private_messages_need_a_scope_and_no_privileged_session(
    pds: Pds, alice: Account, other: Upstream
) -> None:
    did = register_service(pds, {"bsky_chat": other.url})
    caller = await sign_in(pds, alice.did, "atproto transition:chat.bsky")
    assert (await caller.get(LOG, via(did, "bsky_chat"))).json == {"ok": True}


async def test_no_scope_reaches_methods_of_the_account_itself_elsewhere(
    pds: Pds, alice: Account
) -> None:
    caller = await sign_in(pds, alice.did, "atproto transition:generic")
    reply = await caller.post("com.atproto.server.CREATEAPPPASSWORD", {})
    assert (reply.error, reply.json["message"]) == ((400, "InvalidToken"), "Bad token method")


async def test_the_birth_date_is_not_for_clients(pds: Pds, alice: Account) -> None:
    body = {"preferences": [BORN]}
    await pds.post("app.bsky.actor.putPreferences", body, alice.auth)
    caller = await sign_in(pds, alice.did, "atproto transition:generic")
    kinds = [one["$type"] for one in (await caller.get(PREFERENCES)).json["preferences"]]
    assert BORN["$type"] not in kinds
    assert (await caller.post("app.bsky.actor.putPreferences", body)).status == 400
    own = (await pds.get(PREFERENCES, alice.auth)).json["preferences"]
    assert BORN in own
