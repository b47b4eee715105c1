"""Access tokens on requests: signed here, for this server, this key, and a session that lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from database.connection import Database
from database.timestamps import iso_of
from pds.accounts.account_store import AccountStore
from pds.accounts.erasure import erase
from pds.accounts.quotas import Quotas
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens
from pds.jose.jwt import Secret, sign_jwt
from pds.oauth.errors import InvalidDpopProof, InvalidToken
from pds.oauth.tokens.access_tokens import MAX_LENGTH
from pds.oauth.tokens.grants import TokenResponse
from pds.oauth.tokens.session import OAuthSession
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.tokens.conftest import (
    ALICE,
    BOB,
    CLIENT_ID,
    DEVICE,
    ISSUER,
    JKT,
    JWT_SECRET,
    OTHER_JKT,
    SERVICE_DID,
    SignIn,
)


@pytest.fixture
def token_id(session: TokenResponse, db: Database) -> str:
    return str(db.value("SELECT tokenId FROM token"))


def signed(token_id: str, *, secret: str = JWT_SECRET, typ: str = "at+jwt", **claims: Any) -> str:
    """A token for the session, with whatever differs; what is None is left out."""
    usual: Mapping[str, Any] = {
        "jti": token_id,
        "sub": ALICE,
        "iat": int(START_S),
        "exp": int(START_S) + 3600,
        "aud": SERVICE_DID,
        "cnf": {"jkt": JKT},
        "client_id": CLIENT_ID,
        "iss": ISSUER,
    }
    told = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return sign_jwt(Secret(secret.encode()), told, typ=typ)


def test_a_token_gives_its_session(
    tokens: OAuthTokens, session: TokenResponse, token_id: str
) -> None:
    expected = OAuthSession(
        ALICE, CLIENT_ID, "atproto transition:generic", token_id, DEVICE, START_S + 3600
    )
    assert tokens.verify(session.access_token, JKT) == expected
    assert tokens.verify(signed(token_id), JKT) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other secret": ({"secret": "another"}, "signature verification failed"),
    "other type": ({"typ": "JWT"}, 'unexpected "typ"'),
    "refresh token": ({"typ": "refresh+jwt"}, 'unexpected "typ"'),
    "other issuer": ({"iss": "https://other.example.com"}, 'unexpected "iss"'),
    "no issuer": ({"iss": None}, 'unexpected "iss"'),
    "for another server": ({"aud": "did:web:other.example.com"}, 'unexpected "aud"'),
    "for the pages": ({"aud": f"oauth-provider-api@{ISSUER}"}, 'unexpected "aud"'),
    "no id": ({"jti": None}, "Invalid token ID format"),
    "other id": ({"jti": "x"}, "Invalid token ID format"),
    "unknown id": ({"jti": "tok-" + "0" * 32}, "Invalid token"),
    "other account": ({"sub": BOB}, "Invalid token"),
    "no account": ({"sub": None}, "Malformed token"),
    "no DID": ({"sub": "alice.test"}, "Malformed token"),
    "expired": ({"exp": int(START_S)}, '"exp" claim timestamp check failed'),
    "no expiry": ({"exp": None}, "Malformed token"),
    "expiry that is text": ({"exp": "never"}, "Malformed token"),
    "no key": ({"cnf": None}, "Bearer token type"),
    "key that is a list": ({"cnf": [JKT]}, "Bearer token type"),
    "other key": ({"cnf": {"jkt": OTHER_JKT}}, "Invalid DPoP key binding"),
}


@pytest.mark.parametrize(("differing", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_token_is_refused(
    tokens: OAuthTokens,
    session: TokenResponse,
    token_id: str,
    differing: dict[str, Any],
    expected: str,
) -> None:
    with pytest.raises(InvalidToken, match=expected):
        tokens.verify(signed(token_id, **differing), JKT)
    assert tokens.verify(session.access_token, JKT)


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "e30.e30.", "\ud800", "ü.ü.ü", "x" * (MAX_LENGTH + 1)]
)
def test_what_is_no_jwt_is_refused(tokens: OAuthTokens, text: str) -> None:
    with pytest.raises(InvalidToken, match="Malformed token"):
        tokens.verify(text, JKT)


def test_a_token_needs_the_proof_of_its_key(tokens: OAuthTokens, session: TokenResponse) -> None:
    with pytest.raises(InvalidDpopProof, match="DPoP proof required"):
        tokens.verify(session.access_token, None)
    with pytest.raises(InvalidToken, match="Invalid DPoP key binding"):
        tokens.verify(session.access_token, OTHER_JKT)


def test_a_session_token_is_no_access_token(tokens: OAuthTokens, clock: FakeClock) -> None:
    sessions = SessionTokens(jwt_secret=JWT_SECRET, service_did=SERVICE_DID, clock=clock)
    with pytest.raises(InvalidToken, match='unexpected "iss"'):
        tokens.verify(sessions.create_access(ALICE, SessionScope.ACCESS), JKT)


def test_a_token_expires(tokens: OAuthTokens, session: TokenResponse, clock: FakeClock) -> None:
    clock.now_s += 3599
    assert tokens.verify(session.access_token, JKT)
    clock.now_s += 1
    with pytest.raises(InvalidToken, match='"exp" claim timestamp check failed'):
        tokens.verify(session.access_token, JKT)


def test_a_row_ends_a_token_before_its_time(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    db.run("UPDATE token SET expiresAt = ?", (iso_of(START_S - 1),))
    with pytest.raises(InvalidToken, match="Token expired"):
        tokens.verify(session.access_token, JKT)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM token",
        "UPDATE actor SET takedownRef = 'ref'",
        "DELETE FROM actor",
        "UPDATE token SET tokenId = 'tok-ffffffffffffffffffffffffffffffff'",
        """UPDATE token SET parameters = '{"client_id":"x","dpop_jkt":"other"}'""",
    ],
)
def test_a_change_of_the_rows_binds_the_next_request(
    tokens: OAuthTokens, session: TokenResponse, db: Database, change: str
) -> None:
    token_id = tokens.verify(session.access_token, JKT).token_id
    assert tokens.is_current(token_id)
    db.run(change)
    with pytest.raises(InvalidToken, match="Invalid token"):
        tokens.verify(session.access_token, JKT)
    assert not tokens.is_current(token_id) or "parameters" in change


def test_a_deactivated_account_keeps_its_session(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    db.run("UPDATE actor SET deactivatedAt = ?", (iso_of(START_S),))
    assert tokens.verify(session.access_token, JKT).did == ALICE


async def test_an_erased_account_leaves_no_session(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    bobs = await SignIn(did=BOB).issue(tokens)
    Quotas(db, AccountStore(db))
    erase(db, ALICE)
    with pytest.raises(InvalidToken, match="Invalid token"):
        tokens.verify(session.access_token, JKT)
    assert tokens.verify(bobs.access_token, JKT).did == BOB
    assert db.all("SELECT DISTINCT did FROM token") == [(BOB,)]


def test_a_row_of_an_older_server_has_what_was_asked_for(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    db.run("UPDATE token SET scope = NULL")
    assert tokens.verify(session.access_token, JKT).scope == "atproto transition:generic"


def test_a_session_without_atproto_is_refused(
    tokens: OAuthTokens, session: TokenResponse, db: Database
) -> None:
    db.run("UPDATE token SET scope = 'transition:generic atprotox'")
    with pytest.raises(InvalidToken, match="Invalid scope"):
        tokens.verify(session.access_token, JKT)
