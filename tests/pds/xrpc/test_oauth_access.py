"""Access by OAuth tokens: their proofs, nonces and challenges, and sessions that end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from pds.jose.jwk import ALGORITHMS
from pds.oauth.tokens.session import OAuthSession
from pds.xrpc.oauth_access import dpop_challenge
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.oauth.client_keys import ClientKey
from tests.pds.oauth.tokens_of import OAuthCaller, sign_in

SESSION = "com.atproto.server.getSession"
PATH = f"/xrpc/{SESSION}"
CREATE = "com.atproto.repo.createRecord"
ALGS = f'algs="{" ".join(ALGORITHMS)}"'


async def send(caller: OAuthCaller, headers: dict[str, str], path: str = PATH) -> Reply:
    return await caller.pds.request("GET", path, headers=headers)


@pytest.fixture
async def caller(pds: Pds, alice: Account) -> OAuthCaller:
    return await sign_in(pds, alice.did, "atproto transition:generic account:email")


async def test_every_answer_has_the_next_nonce_for_pages_of_any_origin(
    caller: OAuthCaller, alice: Account
) -> None:
    assert caller.pds.ctx.oauth is not None
    nonce = caller.pds.ctx.oauth.proofs.next_nonce()
    replies = (
        await caller.get(SESSION),
        await caller.get("com.atproto.sync.getRepo", did=alice.did),
        await caller.get("com.atproto.server.getServiceAuth", aud="nonsense"),
        await caller.get("com.atproto.server.listAppPasswords"),
        await send(caller, {"Authorization": f"DPoP {caller.access_token}"}),
    )
    assert [reply.status for reply in replies] == [200, 200, 400, 403, 401]
    for reply in replies:
        assert reply.headers["DPoP-Nonce"] == nonce
        assert "DPoP-Nonce" in reply.headers.getall("Access-Control-Expose-Headers")


async def test_answers_to_others_have_no_nonce(pds: Pds, alice: Account) -> None:
    reply = await pds.get(SESSION, alice.auth)
    assert "DPoP-Nonce" not in reply.headers


@pytest.mark.parametrize(
    ("changes", "error", "message", "told"),
    [
        (
            {"nonce": None},
            "use_dpop_nonce",
            "Authorization server requires nonce in DPoP proof",
            True,
        ),
        ({"nonce": "old"}, "use_dpop_nonce", 'DPoP "nonce" mismatch', False),
        ({"htm": "POST"}, "invalid_dpop_proof", 'DPoP "htm" mismatch', False),
        ({"htu": "https://other.example.com/"}, "invalid_dpop_proof", 'DPoP "htu" mismatch', False),
        ({"ath": "x"}, "invalid_dpop_proof", 'DPoP "ath" mismatch', False),
        ({"jti": None}, "invalid_dpop_proof", 'DPoP "jti" missing', False),
    ],
)
async def test_a_wrong_proof_is_refused_with_a_challenge(
    caller: OAuthCaller, changes: dict[str, Any], error: str, message: str, told: bool
) -> None:
    reply = await send(caller, caller.headers("GET", PATH, **changes))
    assert (reply.status, reply.json) == (401, {"error": error, "message": message})
    challenge = f'DPoP {ALGS}, error="{error}"' + (f', error_description="{message}"' * told)
    assert reply.headers["WWW-Authenticate"] == challenge
    assert "WWW-Authenticate" in reply.headers.getall("Access-Control-Expose-Headers")
    assert reply.headers["Cache-Control"] == "private"


async def test_a_proof_is_needed_and_used_once(caller: OAuthCaller) -> None:
    token = {"Authorization": f"DPoP {caller.access_token}"}
    reply = await send(caller, token)
    assert (reply.error, reply.json["message"]) == (
        (401, "invalid_dpop_proof"),
        "DPoP proof required",
    )
    headers = caller.headers("GET", PATH)
    assert (await send(caller, headers)).status == 200
    assert (await send(caller, headers)).json["message"] == "DPoP proof replayed"


async def test_a_proof_by_another_key_is_refused(caller: OAuthCaller) -> None:
    caller.key = ClientKey.new()
    reply = await caller.get(SESSION)
    assert (reply.error, reply.json["message"]) == (
        (401, "invalid_token"),
        "Invalid DPoP key binding",
    )


async def test_the_url_of_a_proof_is_the_public_one_whatever_host_was_asked(
    caller: OAuthCaller,
) -> None:
    headers = {**caller.headers("GET", PATH), "Host": "other.example.com"}
    assert (await send(caller, headers, f"{PATH}?x=y")).status == 200


async def test_the_token_alone_opens_nothing(caller: OAuthCaller) -> None:
    reply = await send(caller, {"Authorization": f"Bearer {caller.access_token}"})
    assert (reply.error, reply.json["message"]) == ((400, "InvalidToken"), "Malformed token")
    assert "DPoP-Nonce" not in reply.headers


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 7_000])
async def test_hostile_tokens_are_refused(caller: OAuthCaller, token: str) -> None:
    caller.access_token = token
    reply = await caller.get(SESSION)
    assert reply.error in ((401, "invalid_token"), (400, "InvalidToken"))


@pytest.mark.parametrize("kind", ["EC\r\nSet-Cookie: a=b", "\u202e", "x" * 3_000, 7, None])
async def test_hostile_keys_are_refused_and_do_not_get_into_headers(
    caller: OAuthCaller, kind: Any
) -> None:
    headers = caller.headers("GET", PATH, header={"jwk": {**caller.key.jwk, "kty": kind}})
    reply = await send(caller, headers)
    assert reply.error == (401, "invalid_dpop_proof")
    assert reply.headers["WWW-Authenticate"].startswith(f'DPoP {ALGS}, error="invalid_dpop_proof"')
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("text", ['a"b', "a\r\nb", "\u00e9", "a\x00b"])
def test_a_text_that_fits_no_header_is_left_out_of_the_challenge(text: str) -> None:
    challenge = dpop_challenge({"error": "x", "error_description": text})
    assert challenge == f'DPoP {ALGS}, error="x"'


async def test_a_token_without_the_scope_that_all_have_is_refused(pds: Pds, alice: Account) -> None:
    caller = await sign_in(pds, alice.did, "transition:generic")
    assert (await caller.get(SESSION)).error == (401, "invalid_token")


async def test_the_scopes_of_the_row_count_at_once(caller: OAuthCaller, alice: Account) -> None:
    assert (await caller.get(SESSION)).json["email"] == alice.email
    caller.pds.ctx.accounts.db.run("UPDATE token SET scope = 'atproto'")
    reply = await caller.get(SESSION)
    assert reply.json.keys() == {"did", "handle", "active"}


async def test_a_takedown_ends_the_session_at_once(caller: OAuthCaller, alice: Account) -> None:
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": alice.did}
    for applied in (True, False):
        body = {"subject": subject, "takedown": {"applied": applied}}
        pds = caller.pds
        await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
        assert (await caller.get(SESSION)).error == (401, "invalid_token")


async def test_a_session_that_ends_while_the_body_comes_in_writes_nothing(
    caller: OAuthCaller, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified, ended = asyncio.Event(), asyncio.Event()
    assert caller.pds.ctx.oauth is not None
    tokens = caller.pds.ctx.oauth.tokens
    verify = tokens.verify

    def noted(access_token: str, jkt: str | None) -> OAuthSession:
        verified.set()
        return verify(access_token, jkt)

    async def parts() -> AsyncIterator[bytes]:
        yield body[:10]
        await ended.wait()
        yield body[10:]

    monkeypatch.setattr(tokens, "verify", noted)
    record = {"$type": "com.example.note"}
    body = orjson.dumps({"repo": alice.did, "collection": "com.example.note", "record": record})
    path = f"/xrpc/{CREATE}"
    headers = {**caller.headers("POST", path), "Content-Type": "application/json"}
    sending = asyncio.create_task(caller.pds.request("POST", path, headers=headers, data=parts()))
    await verified.wait()
    caller.pds.ctx.accounts.db.run("DELETE FROM token")
    ended.set()
    assert (await sending).error == (401, "invalid_token")
    listed = await caller.pds.get(
        "com.atproto.repo.listRecords", repo=alice.did, collection="com.example.note"
    )
    assert listed.json["records"] == []


async def test_the_owner_s_own_repository_is_open_to_a_client_while_it_is_deactivated(
    caller: OAuthCaller, alice: Account
) -> None:
    await caller.pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    latest = "com.atproto.sync.getLatestCommit"
    assert (await caller.pds.get(latest, did=alice.did)).error == (400, "RepoDeactivated")
    assert (await caller.get(latest, did=alice.did)).status == 200


async def test_a_client_that_deactivates_the_account_disconnects_all_apps(
    pds: Pds, alice: Account
) -> None:
    caller = await sign_in(pds, alice.did, "atproto account:status?action=manage")
    made = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    login = {"identifier": alice.did, "password": made.json["password"]}
    session = (await pds.post("com.atproto.server.createSession", login)).json
    assert (await caller.post("com.atproto.server.deactivateAccount", {})).status == 200
    assert (await caller.get(SESSION)).error == (401, "invalid_token")
    refresh = {"Authorization": f"Bearer {session['refreshJwt']}"}
    assert (await pds.post("com.atproto.server.refreshSession", None, refresh)).status == 400
    assert (await pds.post("com.atproto.server.createSession", login)).status == 401
    listed = await pds.get("com.atproto.server.listAppPasswords", alice.auth)
    assert listed.json["passwords"] == []
    assert (await pds.get(SESSION, alice.auth)).json["status"] == "deactivated"
