"""Refreshing: every token is used once, and whatever is wrong ends the session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from database.connection import Database
from database.timestamps import iso_of
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import InvalidGrant, InvalidScope, InvalidToken
from pds.oauth.tokens.grants import TokenClient, TokenResponse
from pds.oauth.tokens.lifetimes import LONG, SHORT, Lifetimes
from pds.oauth.tokens.rows import MAX_USED
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.tokens.conftest import (
    ALICE,
    CLIENT_ID,
    CONFIDENTIAL,
    JKT,
    KEY_AUTH,
    NO_AUTH,
    OTHER_JKT,
    PUBLIC,
    SignIn,
)

DAY_S = 24 * 60 * 60
LEGACY_AUTH = (
    '{"method":"urn:ietf:params:oauth:client-assertion-type:jwt-bearer",'
    '"alg":"ES256","kid":"key-1","jkt":"thumb"}'
)


async def refresh(
    tokens: OAuthTokens,
    answer: TokenResponse,
    client: TokenClient = PUBLIC,
    auth: ClientAuth = NO_AUTH,
    *,
    jkt: str | None = JKT,
) -> TokenResponse:
    assert answer.refresh_token is not None
    return await tokens.refresh(client, auth, answer.refresh_token, jkt=jkt)


def assert_ended(tokens: OAuthTokens, db: Database, *answers: TokenResponse) -> None:
    for answer in answers:
        with pytest.raises(InvalidToken):
            tokens.verify(answer.access_token, JKT)
    assert db.value("SELECT count(*) FROM token") == 0
    assert db.value("SELECT count(*) FROM used_refresh_token") == 0


async def test_a_refresh_replaces_both_tokens_at_once(
    tokens: OAuthTokens, session: TokenResponse
) -> None:
    fresh = await refresh(tokens, session)
    assert fresh.refresh_token != session.refresh_token
    assert tokens.verify(fresh.access_token, JKT).did == ALICE
    with pytest.raises(InvalidToken, match="Invalid token"):
        tokens.verify(session.access_token, JKT)


async def test_a_refresh_keeps_the_session_s_row(
    tokens: OAuthTokens, session: TokenResponse, db: Database, clock: FakeClock
) -> None:
    clock.now_s += 100
    fresh = await refresh(tokens, session)
    assert db.all("SELECT id, createdAt, updatedAt, expiresAt, currentRefreshToken FROM token") == [
        (1, *map(iso_of, (START_S, START_S + 100, START_S + 3700)), fresh.refresh_token)
    ]
    assert db.all("SELECT refreshToken, tokenId FROM used_refresh_token") == [
        (session.refresh_token, 1)
    ]


async def test_a_used_token_ends_the_session(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    second = await refresh(tokens, session)
    third = await refresh(tokens, second)
    with pytest.raises(InvalidGrant, match="Refresh token replayed"):
        await refresh(tokens, session)
    assert_ended(tokens, db, session, second, third)
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await refresh(tokens, third)


async def test_two_refreshes_at_once_are_a_replay(
    tokens: OAuthTokens, session: TokenResponse, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell which of the two is the client."""
    both_are_here = asyncio.Barrier(2)

    async def wait(scope: str) -> str:
        await both_are_here.wait()
        return scope

    monkeypatch.setattr(tokens, "_expand_scope", wait)
    results = await asyncio.gather(
        refresh(tokens, session), refresh(tokens, session), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, InvalidGrant)]
    assert [str(exc) for exc in refused] == ["Refresh token replayed"]
    assert_ended(tokens, db, *(r for r in results if isinstance(r, TokenResponse)))


@pytest.mark.parametrize(
    "text", ["", "x", "ref-", "ref-" + "0" * 64, "ref-" + "0" * 63, "REF-" + "0" * 64, "ü" * 68]
)
async def test_an_unknown_token_is_refused(
    tokens: OAuthTokens, session: TokenResponse, text: str
) -> None:
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await tokens.refresh(PUBLIC, NO_AUTH, text, jkt=JKT)
    assert tokens.verify(session.access_token, JKT)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another client": ({"client": replace(PUBLIC, client_id="https://evil.example/a")}, "not issu"),
    "another key": ({"jkt": OTHER_JKT}, "DPoP proof does not match the expected JKT"),
    "no proof": ({"jkt": None}, "DPoP proof is required for this request"),
    "unexpected method": ({"auth": KEY_AUTH}, "authentication method mismatch"),
    "no longer refreshing": (
        {"client": replace(PUBLIC, grant_types=frozenset({"authorization_code"}))},
        "Refresh token grant not allowed",
    ),
}


@pytest.mark.parametrize(("differing", "expected"), WRONG.values(), ids=WRONG)
async def test_a_failed_check_ends_the_session(
    tokens: OAuthTokens,
    session: TokenResponse,
    db: Database,
    differing: dict[str, Any],
    expected: str,
) -> None:
    with pytest.raises(InvalidGrant, match=expected):
        await refresh(tokens, session, **differing)
    assert_ended(tokens, db, session)


@pytest.mark.parametrize("changed", [{"kid": "key-2"}, {"alg": "ES384"}, {"jkt": "other"}])
async def test_a_confidential_client_keeps_its_key(
    tokens: OAuthTokens, db: Database, changed: dict[str, Any]
) -> None:
    first = await SignIn(CONFIDENTIAL, KEY_AUTH).issue(tokens)
    again = await refresh(tokens, first, CONFIDENTIAL, replace(KEY_AUTH, jti="2", exp=None))
    with pytest.raises(InvalidGrant, match="initiated with a different key"):
        await refresh(tokens, again, CONFIDENTIAL, replace(KEY_AUTH, **changed))
    assert_ended(tokens, db, first, again)


async def test_a_client_may_become_confidential_but_not_public_again(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    upgraded = await refresh(tokens, session, CONFIDENTIAL, KEY_AUTH)
    with pytest.raises(InvalidGrant, match="authentication method mismatch"):
        await refresh(tokens, upgraded, PUBLIC, NO_AUTH)
    assert_ended(tokens, db, upgraded)


async def test_a_session_with_the_older_form_of_authentication_goes_on(
    tokens: OAuthTokens, db: Database
) -> None:
    first = await SignIn(CONFIDENTIAL, KEY_AUTH).issue(tokens)
    db.run("UPDATE token SET clientAuth = ?", (LEGACY_AUTH,))
    assert await refresh(tokens, first, CONFIDENTIAL, KEY_AUTH)
    assert ClientAuth.from_json(db.value("SELECT clientAuth FROM token")) == KEY_AUTH


async def test_permission_sets_are_expanded_anew(
    tokens: OAuthTokens, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await SignIn(parameters={"scope": "atproto include:com.example.set"}).issue(tokens)

    async def expand(scope: str) -> str:
        return scope.replace("include:com.example.set", "repo:com.example.like")

    monkeypatch.setattr(tokens, "_expand_scope", expand)
    fresh = await refresh(tokens, first)
    assert fresh.scope == "atproto repo:com.example.like"
    assert tokens.verify(fresh.access_token, JKT).scope == fresh.scope


async def test_a_set_that_cannot_be_expanded_costs_no_session(
    tokens: OAuthTokens, session: TokenResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(scope: str) -> str:
        raise InvalidScope(f"cannot resolve {scope}")

    with monkeypatch.context() as patch:
        patch.setattr(tokens, "_expand_scope", fail)
        with pytest.raises(InvalidScope):
            await refresh(tokens, session)
    assert await refresh(tokens, session)


@pytest.mark.parametrize(
    ("client", "auth", "limits", "expected"),
    [
        # A public client's session is over when it could be idle for too long.
        (PUBLIC, NO_AUTH, SHORT, "Session expired"),
        (CONFIDENTIAL, KEY_AUTH, LONG, "Refresh token expired"),
    ],
)
async def test_an_idle_session_ends(
    tokens: OAuthTokens,
    db: Database,
    clock: FakeClock,
    client: TokenClient,
    auth: ClientAuth,
    limits: Lifetimes,
    expected: str,
) -> None:
    answer = await SignIn(client, auth).issue(tokens)
    clock.now_s += limits.idle_s - 1
    answer = await refresh(tokens, answer, client, auth)
    clock.now_s += limits.idle_s + 1
    with pytest.raises(InvalidGrant, match=expected):
        await refresh(tokens, answer, client, auth)
    assert_ended(tokens, db, answer)


@pytest.mark.parametrize(
    ("client", "auth", "limits"), [(PUBLIC, NO_AUTH, SHORT), (CONFIDENTIAL, KEY_AUTH, LONG)]
)
async def test_no_session_outlives_its_limit(
    tokens: OAuthTokens,
    clock: FakeClock,
    client: TokenClient,
    auth: ClientAuth,
    limits: Lifetimes,
) -> None:
    answer = await SignIn(client, auth).issue(tokens)
    ends_s = clock.now_s + limits.session_s
    while clock.now_s + 10 * DAY_S < ends_s:
        clock.now_s += 10 * DAY_S
        answer = await refresh(tokens, answer, client, auth)
    clock.now_s = ends_s - 100
    answer = await refresh(tokens, answer, client, auth)
    assert answer.expires_in == 100
    assert tokens.verify(answer.access_token, JKT).expires_at <= ends_s
    clock.now_s = ends_s
    with pytest.raises(InvalidGrant, match="Session expired"):
        await refresh(tokens, answer, client, auth)


async def test_a_takedown_ends_sessions(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    db.run("UPDATE actor SET takedownRef = 'ref' WHERE did = ?", (ALICE,))
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await refresh(tokens, session)


async def test_spent_tokens_of_a_session_are_bounded(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    second = answer = await refresh(tokens, session)
    for _ in range(MAX_USED):
        answer = await refresh(tokens, answer)
    assert db.value("SELECT count(*) FROM used_refresh_token") == MAX_USED
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await refresh(tokens, session)
    with pytest.raises(InvalidGrant, match="Refresh token replayed"):
        await refresh(tokens, second)


async def test_a_session_without_a_refresh_token_is_never_rotated(
    tokens: OAuthTokens, db: Database
) -> None:
    client = TokenClient(CLIENT_ID, "none", frozenset({"authorization_code"}), False)
    answer = await SignIn(client).issue(tokens)
    assert answer.refresh_token is None
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await tokens.refresh(PUBLIC, NO_AUTH, "ref-" + "0" * 64, jkt=JKT)
    assert db.value("SELECT count(*) FROM token") == 1
