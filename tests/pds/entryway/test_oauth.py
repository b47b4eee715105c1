"""OAuth clients come with tokens of the entryway, bound to their keys."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pds.oauth.entryway.scope_references import MAX_BYTES
from repo.keys import K256PrivateKey
from tests.entryway import DID, Entryway, answering, decode, sign
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds
from tests.pds.entryway.conftest import sign_up
from tests.pds.oauth.client_keys import ClientKey
from tests.pds.oauth.tokens_of import OAuthCaller, thumbprint
from tests.pds.upstream import slam

SESSION = "com.atproto.server.getSession"
STATUS = "com.atproto.server.checkAccountStatus"
CREATE = "com.atproto.repo.createRecord"
PATH = f"/xrpc/{STATUS}"
POSTS = "app.bsky.feed.post"
POST = {"$type": POSTS, "text": "hi", "createdAt": "2026-01-01T00:00:00Z"}
REFERENCE = "ref:bafyreiabc"


def caller_of(pds: Pds, entryway: Entryway, did: str, scope: str = "atproto") -> OAuthCaller:
    """A client that the entryway has given a token."""
    key = ClientKey.new()
    return OAuthCaller(pds, key, entryway.oauth_access(did, thumbprint(key), scope), "")


@pytest.fixture
def caller(pds: Pds, entryway: Entryway, alice: Account) -> OAuthCaller:
    return caller_of(pds, entryway, alice.did)


def with_claims(caller: OAuthCaller, entryway: Entryway, did: str, **claims: Any) -> OAuthCaller:
    caller.access_token = entryway.oauth_access(did, thumbprint(caller.key), **claims)
    return caller


async def write(caller: OAuthCaller, did: str) -> Any:
    return await caller.post(CREATE, {"repo": did, "collection": POSTS, "record": POST})


async def test_a_token_with_its_proof_gives_access_as_far_as_its_scopes_go(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    caller = caller_of(pds, entryway, alice.did, f"atproto repo:{POSTS}?action=create")
    reply = await caller.get(STATUS)
    assert (reply.status, reply.json["activated"]) == (200, True)
    assert reply.headers["DPoP-Nonce"] == pds.ctx.oauth_access.proofs.next_nonce()
    written = await write(caller, alice.did)
    assert written.status == 200
    rkey = written.json["uri"].rpartition("/")[2]
    deleted = await caller.post(
        "com.atproto.repo.deleteRecord", {"repo": alice.did, "collection": POSTS, "rkey": rkey}
    )
    assert deleted.error == (403, "ScopeMissingError")
    assert 'error="insufficient_scope"' in deleted.headers["WWW-Authenticate"]


async def test_a_permission_set_that_is_not_expanded_permits_nothing(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    caller = caller_of(pds, entryway, alice.did, "atproto include:app.bsky.authFullApp")
    assert (await caller.get(STATUS)).status == 200
    assert (await write(caller, alice.did)).error == (403, "ScopeMissingError")


async def test_a_revocation_here_ends_older_tokens(
    pds: Pds, caller: OAuthCaller, alice: Account
) -> None:
    pds.ctx.session_tokens.cutoff_of = {alice.did: int(time.time()) + 1}.__getitem__
    reply = await caller.get(STATUS)
    assert reply.error == (401, "invalid_token")
    assert reply.json["message"] == "Token has been revoked"


async def test_a_token_writes_to_its_own_account_only(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    bob = await sign_up(entryway, "bob")
    caller = caller_of(pds, entryway, alice.did, "atproto transition:generic")
    assert (await write(caller, bob.did)).error == (401, "AuthenticationRequired")
    assert (await write(caller, alice.did)).status == 200


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"aud": DID}, 'unexpected "aud" claim value'),
        ({"aud": None}, 'unexpected "aud" claim value'),
        ({"iss": "https://other.example.com"}, 'unexpected "iss" claim value'),
        ({"exp": 1}, '"exp" claim timestamp check failed'),
        ({"exp": None}, "Malformed token"),
        ({"iat": None}, "Malformed token"),
        ({"nbf": time.time() + 1000}, '"nbf" claim timestamp check failed'),
        ({"sub": "alice"}, "Malformed token"),
        ({"jti": "x"}, "Invalid token ID format"),
        ({"cnf": None}, "Bearer token type must be used without a DPoP proof"),
        ({"cnf": {"jkt": "x" * 43}}, "Invalid DPoP key binding"),
        ({"scope": None}, "Invalid scope (expected one of: atproto)"),
        ({"scope": "transition:generic"}, "Invalid scope (expected one of: atproto)"),
    ],
)
async def test_a_wrong_token_is_refused_with_a_challenge(
    caller: OAuthCaller, entryway: Entryway, alice: Account, claims: dict[str, Any], message: str
) -> None:
    reply = await with_claims(caller, entryway, alice.did, **claims).get(STATUS)
    assert (reply.status, reply.json) == (401, {"error": "invalid_token", "message": message})
    assert reply.headers["WWW-Authenticate"].startswith("DPoP algs=")
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]


async def test_a_token_for_several_servers_is_accepted(
    caller: OAuthCaller, entryway: Entryway, alice: Account
) -> None:
    audiences = ["did:web:other.example.com", entryway.pds_did]
    reply = await with_claims(caller, entryway, alice.did, aud=audiences).get(STATUS)
    assert reply.status == 200


async def test_a_token_of_another_signer_or_type_is_refused(
    pds: Pds, caller: OAuthCaller, entryway: Entryway
) -> None:
    claims = decode(caller.access_token.split(".")[1])
    for forged in (
        sign(K256PrivateKey.generate(), "at+jwt", claims),
        sign(entryway.jwt_key, "refresh+jwt", claims),
        sign(entryway.jwt_key, "at+jwt", claims, alg="none"),
        sign(entryway.jwt_key, "at+jwt", claims, alg="HS256"),
    ):
        caller.access_token = forged
        assert (await caller.get(STATUS)).error == (401, "invalid_token")


async def test_a_session_token_is_no_oauth_token_nor_the_reverse(
    pds: Pds, caller: OAuthCaller, alice: Account
) -> None:
    as_bearer = await pds.get(STATUS, {"Authorization": f"Bearer {caller.access_token}"})
    assert as_bearer.error == (400, "InvalidToken")
    assert as_bearer.json["message"] == "Malformed token"
    caller.access_token = alice.access_jwt
    assert (await caller.get(STATUS)).error == (401, "invalid_token")


async def test_the_proof_must_be_new_with_a_nonce_and_by_the_key_of_the_token(
    pds: Pds, caller: OAuthCaller
) -> None:
    async def send(headers: dict[str, str]) -> Any:
        return await pds.request("GET", PATH, headers=headers)

    without = await send({"Authorization": f"DPoP {caller.access_token}"})
    assert without.error == (401, "invalid_dpop_proof")
    no_nonce = await send(caller.headers("GET", PATH, nonce=None))
    assert no_nonce.error == (401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in no_nonce.headers["WWW-Authenticate"]
    nonce = no_nonce.headers["DPoP-Nonce"]
    headers = caller.headers("GET", PATH, nonce=nonce)
    assert (await send(headers)).status == 200
    replayed = await send(headers)
    assert replayed.error == (401, "invalid_dpop_proof")
    assert replayed.json["message"] == "DPoP proof replayed"
    other = OAuthCaller(pds, ClientKey.new(), caller.access_token, "")
    assert (await other.get(STATUS)).json["message"] == "Invalid DPoP key binding"


@pytest.mark.parametrize(("scope", "told"), [("atproto", False), ("atproto account:email", True)])
async def test_the_email_address_takes_a_scope(
    pds: Pds, entryway: Entryway, alice: Account, scope: str, told: bool
) -> None:
    reply = await caller_of(pds, entryway, alice.did, scope).get(SESSION)
    assert (reply.status, reply.json["handle"]) == (200, alice.handle)
    assert ("email" in reply.json) is told


async def test_what_oauth_never_reaches_is_refused_before_the_entryway_is_asked(
    caller: OAuthCaller, entryway: Entryway
) -> None:
    never = await caller.post("com.atproto.server.createAppPassword", {"name": "app"})
    scoped = await caller.post("com.atproto.identity.updateHandle", {"handle": "x.test"})
    assert (never.status, scoped.error) == (403, (403, "ScopeMissingError"))
    assert entryway.asked == []


async def test_a_scope_that_the_token_only_names_is_asked_for_once(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    entryway.scopes[REFERENCE] = "atproto transition:generic"
    caller = caller_of(pds, entryway, alice.did, REFERENCE)
    assert (await write(caller, alice.did)).status == 200
    assert (await write(caller, alice.did)).status == 200
    asked = [(one.verb, one.nsid, one.authorization) for one in entryway.asked]
    assert asked == [("GET", "com.atproto.temp.dereferenceScope", None)]


async def test_a_scope_that_the_entryway_does_not_know_ends_the_session(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    reply = await caller_of(pds, entryway, alice.did, REFERENCE).get(STATUS)
    assert reply.error == (401, "invalid_token")


@pytest.mark.parametrize(
    "answer",
    [
        slam,
        answering(status=500, text='{"error":"x"}'),
        answering(text="["),
        answering(text="[]"),
        answering(text='{"scope":1}'),
        answering(text='{"scope":"' + "a" * MAX_BYTES + '"}'),
        answering(status=302, headers={"Location": "/elsewhere"}),
    ],
)
async def test_without_an_answer_the_client_may_try_again(
    pds: Pds, entryway: Entryway, alice: Account, answer: Any
) -> None:
    caller = caller_of(pds, entryway, alice.did, REFERENCE)
    entryway.answer = answer
    reply = await caller.get(STATUS)
    assert reply.error == (502, "UpstreamFailure")
    entryway.answer, entryway.scopes[REFERENCE] = None, "atproto"
    assert (await caller.get(STATUS)).status == 200


async def test_a_takedown_here_stops_writes(pds: Pds, entryway: Entryway, alice: Account) -> None:
    caller = caller_of(pds, entryway, alice.did, "atproto transition:generic")
    assert (await write(caller, alice.did)).status == 200
    await make_inactive(pds, alice, "takendown")
    assert (await write(caller, alice.did)).error == (401, "AccountTakedown")
