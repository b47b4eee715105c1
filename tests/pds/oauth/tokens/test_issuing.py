"""The code grant: tokens for whoever began the request, in rows that the reference reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from database.change_watch import ChangeWatch
from database.connection import Database
from database.timestamps import iso_of
from pds.accounts.access_cutoffs import AccessCutoffs, read_cutoff
from pds.accounts.errors import InvalidToken as InvalidSessionToken
from pds.accounts.session_tokens import SessionTokens
from pds.jose.jwt import Secret, verify_jwt
from pds.oauth.errors import InvalidGrant, InvalidScope
from pds.oauth.tokens.account_sessions import AccountSessions
from pds.oauth.tokens.rows import MAX_SESSIONS
from pds.oauth.tokens.tokens import CHALLENGE_REPLAY_S, OAuthTokens
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.tokens.conftest import (
    ALICE,
    BOB,
    CLIENT_ID,
    CONFIDENTIAL,
    DEVICE,
    ISSUER,
    JKT,
    JWT_SECRET,
    KEY_AUTH,
    NO_AUTH,
    OTHER_JKT,
    PUBLIC,
    SERVICE_DID,
    SignIn,
)


async def test_the_answer_has_what_clients_need(tokens: OAuthTokens) -> None:
    answer = (await SignIn().issue(tokens)).to_json()
    assert answer.pop("access_token").count(".") == 2
    assert answer.pop("refresh_token").startswith("ref-")
    assert answer == {
        "token_type": "DPoP",
        "scope": "atproto transition:generic",
        "expires_in": 3600,
        "sub": ALICE,
    }


async def test_an_access_token_has_the_reference_s_claims(tokens: OAuthTokens) -> None:
    token = (await SignIn().issue(tokens)).access_token
    jwt = verify_jwt(token, Secret(JWT_SECRET.encode()), max_length=2048)
    assert jwt.header == {"typ": "at+jwt", "alg": "HS256"}
    assert jwt.claims.pop("jti").startswith("tok-")
    assert jwt.claims == {
        "sub": ALICE,
        "iat": int(START_S),
        "exp": int(START_S) + 3600,
        "aud": SERVICE_DID,
        "cnf": {"jkt": JKT},
        "client_id": CLIENT_ID,
        "iss": ISSUER,
    }


async def test_an_access_token_is_no_session_token(tokens: OAuthTokens, clock: FakeClock) -> None:
    sessions = SessionTokens(jwt_secret=JWT_SECRET, service_did=SERVICE_DID, clock=clock)
    with pytest.raises(InvalidSessionToken, match="Malformed token"):
        sessions.verify_access((await SignIn().issue(tokens)).access_token)


async def test_a_row_has_the_form_of_the_reference_s(tokens: OAuthTokens, db: Database) -> None:
    sign_in = SignIn(CONFIDENTIAL, KEY_AUTH)
    answer = await sign_in.issue(tokens)
    columns = (
        "did, createdAt, updatedAt, expiresAt, clientId, deviceId, details, code,"
        " currentRefreshToken, scope"
    )
    now = iso_of(START_S)
    assert db.one(f"SELECT {columns} FROM token") == (
        *(ALICE, now, now, iso_of(START_S + 3600), CLIENT_ID, DEVICE, None),
        *(sign_in.code, answer.refresh_token, "atproto transition:generic"),
    )
    auth, parameters = map(orjson.loads, db.one("SELECT clientAuth, parameters FROM token") or ())
    assert auth == {
        "method": "private_key_jwt",
        "jti": "jti-1",
        "exp": int(START_S) + 60,
        "jkt": "thumb",
        "alg": "ES256",
        "kid": "key-1",
    }
    assert parameters == {**sign_in.grant.parameters.json, "dpop_jkt": JKT}


async def test_permission_sets_are_expanded(tokens: OAuthTokens, db: Database) -> None:
    sign_in = SignIn(parameters={"scope": "atproto include:com.example.set"})
    answer = await sign_in.issue(tokens)
    assert answer.scope == "atproto repo:com.example.post"
    session = tokens.verify(answer.access_token, JKT)
    assert session.scope == "atproto repo:com.example.post"
    stored = orjson.loads(db.value("SELECT parameters FROM token"))
    assert stored["scope"] == "atproto include:com.example.set"


async def test_a_client_without_refresh_gets_no_refresh_token(
    tokens: OAuthTokens, db: Database
) -> None:
    sign_in = SignIn()
    sign_in.client = type(PUBLIC)(CLIENT_ID, "none", frozenset({"authorization_code"}), False)
    answer = await sign_in.issue(tokens)
    assert "refresh_token" not in answer.to_json()
    assert db.value("SELECT currentRefreshToken FROM token") is None


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other redirect": ({"redirect_uri": "https://app.example.com/"}, "redirect_uri parameter must"),
    "no redirect": ({"redirect_uri": None}, "redirect_uri parameter must match"),
    "no verifier": ({"code_verifier": None}, "code_verifier is required"),
    "short verifier": ({"code_verifier": "v" * 42}, "code_verifier too short"),
    "long verifier": ({"code_verifier": "v" * 129}, "code_verifier too long"),
    "another verifier": ({"code_verifier": "v" * 43}, "Invalid code_verifier"),
    "strange verifier": ({"code_verifier": "\ud800" * 43}, "Invalid code_verifier"),
    "no proof": ({"jkt": None}, "DPoP JKT is required"),
    "another client": ({"grant": {"client_id": "https://evil.example.com/"}}, "not issued to this"),
    "other method": ({"auth": KEY_AUTH}, "authentication method mismatch"),
    "key given up": ({"grant": {"client_auth": KEY_AUTH}}, "authentication method mismatch"),
    "unknown account": ({"grant": {"did": "did:plc:nobody"}}, "Account not found"),
}


@pytest.mark.parametrize(("differing", "expected"), REFUSED.values(), ids=REFUSED)
async def test_a_code_is_for_whoever_began_the_request(
    tokens: OAuthTokens, db: Database, differing: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidGrant, match=expected):
        await SignIn().issue(tokens, **differing)
    assert db.value("SELECT count(*) FROM token") == 0


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"code_challenge": None}, "PKCE is required"),
        ({"code_challenge_method": "plain"}, "PKCE is required"),
        ({"code_challenge_method": None}, "PKCE is required"),
        ({"code_challenge": "ü"}, "Invalid code_verifier"),
        ({"dpop_jkt": OTHER_JKT}, "DPoP proof does not match the expected JKT"),
    ],
)
async def test_a_request_binds_its_tokens(
    tokens: OAuthTokens, parameters: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidGrant, match=expected):
        await SignIn(parameters=parameters).issue(tokens)


async def test_a_key_that_the_request_named_is_needed(tokens: OAuthTokens) -> None:
    sign_in = SignIn(parameters={"dpop_jkt": JKT})
    with pytest.raises(InvalidGrant, match="DPoP proof is required for this request"):
        await sign_in.issue(tokens, jkt=None)
    assert await sign_in.issue(tokens, jkt=JKT)


async def test_a_challenge_in_plain_base64_is_the_same(tokens: OAuthTokens) -> None:
    sign_in = SignIn(verifier="v" * 50)
    challenge = sign_in.grant.parameters.json["code_challenge"]
    plain = challenge.replace("-", "+").replace("_", "/") + "="
    assert await SignIn(verifier="v" * 50, parameters={"code_challenge": plain}).issue(tokens)


async def test_a_code_challenge_is_used_once(tokens: OAuthTokens, clock: FakeClock) -> None:
    verifier = "v" * 43
    await SignIn(verifier=verifier).issue(tokens)
    clock.now_s += CHALLENGE_REPLAY_S - 1
    with pytest.raises(InvalidGrant, match="Code challenge already used"):
        await SignIn(verifier=verifier).issue(tokens)


async def test_a_client_that_had_not_authenticated_may_do_so_now(tokens: OAuthTokens) -> None:
    for before in (None, NO_AUTH):
        sign_in = SignIn(CONFIDENTIAL, KEY_AUTH)
        assert await sign_in.issue(tokens, grant={"client_auth": before})


async def test_an_account_that_is_taken_down_gets_no_tokens(
    tokens: OAuthTokens, db: Database
) -> None:
    db.run("UPDATE actor SET takedownRef = 'ref' WHERE did = ?", (ALICE,))
    with pytest.raises(InvalidGrant, match="Account not found"):
        await SignIn().issue(tokens)


async def test_a_code_from_before_a_new_password_makes_no_session_after_it(
    tokens: OAuthTokens, db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutoffs, before = AccessCutoffs(db, ChangeWatch(db), clock=clock), SignIn()

    async def set_password(scope: str) -> str:
        cutoffs.save(ALICE)
        return scope

    with monkeypatch.context() as patch:
        # It is set while the permission sets of the scope are looked up.
        patch.setattr(tokens, "_expand_scope", set_password)
        with pytest.raises(InvalidGrant, match="Invalid code"):
            await before.issue(tokens)
    assert db.value("SELECT count(*) FROM token") == 0
    # One of the same second that knows of it is later.
    assert await SignIn(cutoff_s=read_cutoff(db, ALICE)).issue(tokens)
    assert await SignIn(did=BOB).issue(tokens)


async def test_a_scope_that_cannot_be_expanded_makes_no_session(
    tokens: OAuthTokens, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(scope: str) -> str:
        raise InvalidScope(f"no such set: {scope}")

    monkeypatch.setattr(tokens, "_expand_scope", fail)
    with pytest.raises(InvalidScope):
        await SignIn().issue(tokens)
    assert db.value("SELECT count(*) FROM token") == 0


async def test_the_longest_idle_session_ends_when_there_are_too_many(
    tokens: OAuthTokens, sessions: AccountSessions, db: Database, clock: FakeClock
) -> None:
    bobs = await SignIn(did=BOB).issue(tokens)
    first = await SignIn().issue(tokens)
    second = await SignIn().issue(tokens)
    clock.now_s += 1
    assert first.refresh_token is not None
    first = await tokens.refresh(PUBLIC, NO_AUTH, first.refresh_token, jkt=JKT)
    for _ in range(MAX_SESSIONS - 1):
        await SignIn().issue(tokens)
    assert db.value("SELECT count(*) FROM token WHERE did = ?", (ALICE,)) == MAX_SESSIONS
    listed = {session.token_id for session in sessions.list_of(ALICE)}
    assert tokens.verify(first.access_token, JKT).token_id in listed
    assert tokens.verify(bobs.access_token, JKT).did == BOB
    assert second.refresh_token is not None
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await tokens.refresh(PUBLIC, NO_AUTH, second.refresh_token, jkt=JKT)
