"""Ends of sessions: revoked by the client, ended by the person, replayed, or long over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from database.connection import Database
from pds.jose.jwt import Secret, sign_jwt
from pds.oauth.errors import InvalidGrant
from pds.oauth.tokens.grants import EndedSession, TokenResponse
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.accounts.conftest import FakeClock
from tests.pds.oauth.tokens.conftest import (
    ALICE,
    DEVICE,
    JKT,
    NO_AUTH,
    OTHER_JKT,
    PUBLIC,
    SignIn,
)


def count(db: Database) -> int:
    return int(db.value("SELECT count(*) FROM token"))


@pytest.mark.parametrize("kind", ["access", "refresh", "used", "code", "id", "expired"])
async def test_whatever_names_a_session_revokes_it(
    tokens: OAuthTokens, db: Database, clock: FakeClock, kind: str
) -> None:
    sign_in = SignIn()
    first = await sign_in.issue(tokens)
    assert first.refresh_token is not None
    second = await tokens.refresh(PUBLIC, NO_AUTH, first.refresh_token, jkt=JKT)
    texts = {
        "access": second.access_token,
        "expired": second.access_token,
        "refresh": second.refresh_token,
        "used": first.refresh_token,
        "code": sign_in.code,
        "id": tokens.verify(second.access_token, JKT).token_id,
    }
    if kind == "expired":
        clock.now_s += 7200
    await tokens.revoke(PUBLIC, NO_AUTH, str(texts[kind]), jkt=JKT)
    assert count(db) == 0
    assert db.value("SELECT count(*) FROM used_refresh_token") == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "tok-" + "0" * 32, "cod-" + "0" * 64, "ref-" + "0" * 64, "\ud800"),
        sign_jwt(Secret(b"another"), {}, typ="at+jwt"),
    ],
)
async def test_revoking_what_is_unknown_succeeds(
    tokens: OAuthTokens, session: TokenResponse, db: Database, text: str
) -> None:
    await tokens.revoke(PUBLIC, NO_AUTH, text, jkt=JKT)
    assert count(db) == 1


async def test_a_client_revokes_its_own_sessions_only(
    tokens: OAuthTokens, session: TokenResponse
) -> None:
    stranger = replace(PUBLIC, client_id="https://evil.example.com/client.json")
    for client, jkt in ((stranger, JKT), (PUBLIC, OTHER_JKT), (PUBLIC, None)):
        with pytest.raises(InvalidGrant):
            await tokens.revoke(client, NO_AUTH, session.access_token, jkt=jkt)
    assert tokens.verify(session.access_token, JKT)


async def test_a_replayed_code_ends_its_session_and_names_the_device(
    tokens: OAuthTokens, db: Database
) -> None:
    sign_in = SignIn()
    await sign_in.issue(tokens)
    await SignIn().issue(tokens)
    assert await tokens.end_for_replayed(sign_in.code) == EndedSession(ALICE, DEVICE)
    assert count(db) == 1
    assert await tokens.end_for_replayed(sign_in.code) is None
    assert await tokens.end_for_replayed("\ud800") is None


@pytest.mark.parametrize("slow", ["_expand_scope", "_replays.unique"])
async def test_a_code_that_is_replayed_while_tokens_are_issued_gives_none(
    tokens: OAuthTokens, db: Database, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """Whoever of the two is first, nobody keeps a session."""
    sign_in, replaying = SignIn(), asyncio.Event()
    tasks: list[asyncio.Task[EndedSession | None]] = []
    owner, _, name = slow.rpartition(".")
    place = tokens if not owner else vars(tokens)[owner]
    original = getattr(place, name)

    async def slowly(*arguments: Any) -> Any:
        result = await original(*arguments)
        if not replaying.is_set():
            replaying.set()
            tasks.append(asyncio.create_task(tokens.end_for_replayed(sign_in.code)))
            await asyncio.wait(tasks)
        return result

    monkeypatch.setattr(place, name, slowly)
    with pytest.raises(InvalidGrant, match="Invalid code"):
        await sign_in.issue(tokens)
    assert [task.result() for task in tasks] == [None]
    assert count(db) == 0


async def test_a_replay_between_two_looks_finds_the_session(
    tokens: OAuthTokens, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tokens are issued after the first look, and before the code is marked as replayed."""
    sign_in = SignIn()
    unique, issued = tokens._replays.unique, asyncio.Event()

    async def issue_first(namespace: str, value: str, ttl_s: float) -> bool:
        if not issued.is_set():
            issued.set()
            await sign_in.issue(tokens)
        return await unique(namespace, value, ttl_s)

    monkeypatch.setattr(tokens._replays, "unique", issue_first)
    assert await tokens.end_for_replayed(sign_in.code) == EndedSession(ALICE, DEVICE)
    assert count(db) == 0
