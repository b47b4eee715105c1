"""Session tokens: what they say, and every way in which one is refused."""

from __future__ import annotations

import base64
import warnings
from typing import Any

import orjson
import pytest
from jwt.algorithms import HMACAlgorithm

from pds.accounts.errors import AccountError, ExpiredToken, InvalidToken, MissingTokenId
from pds.accounts.scopes import FULL, PRIVILEGED, STANDARD, SessionScope
from pds.accounts.session_tokens import (
    ACCESS_LIFETIME_S,
    REFRESH_LIFETIME_S,
    SessionTokens,
    require_scope,
)
from tests.pds.accounts.conftest import ALICE, JWT_SECRET, SERVICE_DID, START_S, FakeClock

NOT_VERIFIED = "Token could not be verified"
MALFORMED = "Malformed token"
BAD_SCOPE = "Bad token scope"
DROPPED = object()


def encode(part: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode()


def decode(token: str, part: int) -> Any:
    text = token.split(".")[part]
    return orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def signed(header: object, claims: object, key: bytes = JWT_SECRET.encode()) -> str:
    body = f"{encode(header)}.{encode(claims)}"
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(body.encode(), key)
    return f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def access_claims(**changes: object) -> dict[str, object]:
    claims = {
        "scope": "com.atproto.access",
        "aud": SERVICE_DID,
        "sub": ALICE,
        "iat": int(START_S),
        "exp": int(START_S) + 60,
    } | changes
    return {name: value for name, value in claims.items() if value is not DROPPED}


ACCESS_HEADER = {"typ": "at+jwt", "alg": "HS256"}
REFRESH_HEADER = {"typ": "refresh+jwt", "alg": "HS256"}


def test_an_access_token_has_the_header_and_claims_of_the_reference(
    session_tokens: SessionTokens,
) -> None:
    token = session_tokens.create_access(ALICE, SessionScope.APP_PASS)
    assert token.split(".")[0] == encode(ACCESS_HEADER)
    assert list(decode(token, 1).items()) == [
        ("scope", "com.atproto.appPass"),
        ("aud", SERVICE_DID),
        ("sub", ALICE),
        ("iat", int(START_S)),
        ("exp", int(START_S) + ACCESS_LIFETIME_S),
    ]
    claims = session_tokens.verify_access(token)
    assert (claims.did, claims.scope) == (ALICE, SessionScope.APP_PASS)


def test_a_refresh_token_has_the_header_and_claims_of_the_reference(
    session_tokens: SessionTokens,
) -> None:
    token = session_tokens.create_refresh(ALICE, "jti+/1")
    assert token.jwt.split(".")[0] == encode(REFRESH_HEADER)
    assert list(decode(token.jwt, 1).items()) == [
        ("scope", "com.atproto.refresh"),
        ("aud", SERVICE_DID),
        ("sub", ALICE),
        ("jti", "jti+/1"),
        ("iat", int(START_S)),
        ("exp", int(START_S) + REFRESH_LIFETIME_S),
    ]
    claims = session_tokens.verify_refresh(token.jwt)
    assert (claims.did, claims.jti) == (ALICE, "jti+/1")
    assert claims.expires_at == token.expires_at


@pytest.mark.parametrize(
    ("header", "claims", "message"),
    [
        (REFRESH_HEADER, access_claims(), NOT_VERIFIED),
        ({"alg": "HS256"}, access_claims(), NOT_VERIFIED),
        ({"typ": "JWT", "alg": "HS256"}, access_claims(), NOT_VERIFIED),
        ({"typ": "at+jwt"}, access_claims(), NOT_VERIFIED),
        ({"typ": "at+jwt", "alg": "HS512"}, access_claims(), NOT_VERIFIED),
        ({"typ": "at+jwt", "alg": "none"}, access_claims(), NOT_VERIFIED),
        ([], access_claims(), NOT_VERIFIED),
        (ACCESS_HEADER, [], NOT_VERIFIED),
        (ACCESS_HEADER, "text", NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(aud="did:web:other.example"), NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(aud=DROPPED), NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(exp=DROPPED), NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(exp="2099"), NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(exp=True), NOT_VERIFIED),
        (ACCESS_HEADER, access_claims(sub="alice"), MALFORMED),
        (ACCESS_HEADER, access_claims(sub=7), MALFORMED),
        (ACCESS_HEADER, access_claims(sub=DROPPED), MALFORMED),
        (ACCESS_HEADER, access_claims(lxm="com.example.method"), MALFORMED),
        (ACCESS_HEADER, access_claims(cnf={"jkt": "x"}), MALFORMED),
        (ACCESS_HEADER, access_claims(jti=7), MALFORMED),
        (ACCESS_HEADER, access_claims(scope="com.example.all"), BAD_SCOPE),
        (ACCESS_HEADER, access_claims(scope=["com.atproto.access"]), BAD_SCOPE),
        (ACCESS_HEADER, access_claims(scope=DROPPED), BAD_SCOPE),
    ],
)
def test_a_signed_token_with_wrong_contents_is_refused(
    session_tokens: SessionTokens, header: object, claims: object, message: str
) -> None:
    with pytest.raises(InvalidToken, match=message):
        session_tokens.verify_access(signed(header, claims))


def forged_tokens() -> list[str]:
    good = signed(ACCESS_HEADER, access_claims())
    header, claims, signature = good.split(".")
    other_claims = encode(access_claims(sub="did:plc:bob"))
    return [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800",
        f"{header}.{claims}",
        f"{header}.{claims}.",
        f"{header}.{other_claims}.{signature}",
        f"{good}.{signature}",
        f" {good}",
        signed(ACCESS_HEADER, access_claims(), key=b"another secret"),
        signed(ACCESS_HEADER, access_claims(), key=b""),
        encode({"typ": "at+jwt", "alg": "none"}) + f".{claims}.",
        "a" * 100_000,
        f"{header}.{claims}.{signature[:-4]}AAAA",
    ]


@pytest.mark.parametrize("token", forged_tokens(), ids=range(len(forged_tokens())))
def test_a_forged_or_broken_token_is_refused(session_tokens: SessionTokens, token: str) -> None:
    with pytest.raises(InvalidToken, match=NOT_VERIFIED):
        session_tokens.verify_access(token)
    with pytest.raises(InvalidToken, match=NOT_VERIFIED):
        session_tokens.verify_refresh(token)


def test_the_table_above_starts_from_a_token_that_is_accepted(
    session_tokens: SessionTokens,
) -> None:
    assert session_tokens.verify_access(signed(ACCESS_HEADER, access_claims())).did == ALICE


def test_a_token_expires_even_after_it_has_been_seen(
    session_tokens: SessionTokens, clock: FakeClock
) -> None:
    token = session_tokens.create_access(ALICE, SessionScope.ACCESS)
    clock.now_s += ACCESS_LIFETIME_S - 1
    session_tokens.verify_access(token)
    clock.now_s += 1
    for _ in range(2):
        with pytest.raises(ExpiredToken, match="Token has expired"):
            session_tokens.verify_access(token)


def test_an_expired_token_for_another_server_is_invalid_not_expired(
    session_tokens: SessionTokens,
) -> None:
    with pytest.raises(InvalidToken):
        session_tokens.verify_access(signed(ACCESS_HEADER, access_claims(aud="did:web:x", exp=1)))


def test_an_expired_refresh_token_still_ends_its_session(
    session_tokens: SessionTokens, clock: FakeClock
) -> None:
    token = session_tokens.create_refresh(ALICE, "jti").jwt
    clock.now_s += REFRESH_LIFETIME_S
    with pytest.raises(ExpiredToken):
        session_tokens.verify_refresh(token)
    assert session_tokens.verify_refresh(token, allow_expired=True).jti == "jti"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (access_claims(jti="x"), InvalidToken),
        (access_claims(scope="com.atproto.refresh"), MissingTokenId),
        (access_claims(scope="com.atproto.refresh", jti=7), InvalidToken),
    ],
)
def test_a_refresh_token_needs_its_scope_and_its_id(
    session_tokens: SessionTokens, claims: object, expected: type[AccountError]
) -> None:
    with pytest.raises(expected):
        session_tokens.verify_refresh(signed(REFRESH_HEADER, claims))


def test_the_kinds_do_not_stand_in_for_each_other(session_tokens: SessionTokens) -> None:
    with pytest.raises(InvalidToken, match=NOT_VERIFIED):
        session_tokens.verify_access(session_tokens.create_refresh(ALICE, "jti").jwt)
    with pytest.raises(InvalidToken, match=NOT_VERIFIED):
        session_tokens.verify_refresh(session_tokens.create_access(ALICE, SessionScope.ACCESS))


@pytest.mark.parametrize(
    ("scope", "accepting"),
    [
        (SessionScope.ACCESS, [FULL, PRIVILEGED, STANDARD]),
        (SessionScope.APP_PASS_PRIVILEGED, [PRIVILEGED, STANDARD]),
        (SessionScope.APP_PASS, [STANDARD]),
        (SessionScope.TAKENDOWN, []),
        (SessionScope.SIGNUP_QUEUED, []),
    ],
)
def test_endpoints_accept_sets_of_scopes(
    session_tokens: SessionTokens, scope: SessionScope, accepting: list[frozenset[SessionScope]]
) -> None:
    claims = session_tokens.verify_access(session_tokens.create_access(ALICE, scope))
    for scopes in accepting:
        require_scope(claims, scopes)
    for scopes in {FULL, PRIVILEGED, STANDARD} - set(accepting):
        with pytest.raises(InvalidToken, match=BAD_SCOPE):
            require_scope(claims, scopes)


@pytest.mark.parametrize("secret", ["x", "-----BEGIN PUBLIC KEY-----", "ssh-rsa AAAA", "ü" * 40])
def test_any_secret_works_without_warnings(secret: str) -> None:
    tokens = SessionTokens(jwt_secret=secret, service_did=SERVICE_DID)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        token = tokens.create_access(ALICE, SessionScope.ACCESS)
        assert tokens.verify_access(token).did == ALICE
