"""The sessions of an account, as its owner sees and ends them."""

from __future__ import annotations

import pytest

from database.connection import Database
from database.timestamps import iso_of
from pds.oauth.errors import InvalidToken
from pds.oauth.tokens.account_sessions import AccountSessions
from pds.oauth.tokens.grants import TokenResponse
from pds.oauth.tokens.lifetimes import LONG
from pds.oauth.tokens.session import ListedSession
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.tokens.conftest import (
    ALICE,
    BOB,
    CLIENT_ID,
    CONFIDENTIAL,
    DEVICE,
    JKT,
    KEY_AUTH,
    NO_AUTH,
    PUBLIC,
    SignIn,
)


def count(db: Database) -> int:
    return int(db.value("SELECT count(*) FROM token"))


async def test_an_account_s_sessions_are_listed_latest_first(
    tokens: OAuthTokens, sessions: AccountSessions, clock: FakeClock
) -> None:
    first = await SignIn().issue(tokens)
    clock.now_s += 10
    second = await SignIn(CONFIDENTIAL, KEY_AUTH).issue(tokens)
    await SignIn(did=BOB).issue(tokens)
    clock.now_s += 10
    assert first.refresh_token is not None
    first = await tokens.refresh(PUBLIC, NO_AUTH, first.refresh_token, jkt=JKT)
    scope = "atproto transition:generic"
    expected = [
        (tokens.verify(first.access_token, JKT), START_S, START_S + 20),
        (tokens.verify(second.access_token, JKT), START_S + 10, START_S + 10),
    ]
    assert sessions.list_of(ALICE) == [
        ListedSession(one.token_id, CLIENT_ID, scope, DEVICE, iso_of(created), iso_of(updated))
        for one, created, updated in expected
    ]


async def test_sessions_that_are_over_are_not_listed(
    sessions: AccountSessions, session: TokenResponse, clock: FakeClock
) -> None:
    clock.now_s += LONG.idle_s
    assert sessions.list_of(ALICE) == []


async def test_a_person_ends_one_session_or_those_of_a_client(
    tokens: OAuthTokens, sessions: AccountSessions, db: Database
) -> None:
    answers = [await SignIn().issue(tokens) for _ in range(3)]
    bobs = await SignIn(did=BOB).issue(tokens)
    one = tokens.verify(answers[0].access_token, JKT).token_id
    assert not await sessions.end(BOB, one)
    assert await sessions.end(ALICE, one)
    assert not await sessions.end(ALICE, one)
    with pytest.raises(InvalidToken):
        tokens.verify(answers[0].access_token, JKT)
    assert count(db) == 3
    await sessions.end_of_client(ALICE, "https://other.example/client.json")
    assert count(db) == 3
    await sessions.end_of_client(ALICE, CLIENT_ID)
    assert db.all("SELECT did FROM token") == [(BOB,)]
    assert tokens.verify(bobs.access_token, JKT)
