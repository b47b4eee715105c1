"""Session tokens of an entryway: its own are accepted, and nothing that only looks like them."""

from __future__ import annotations

from typing import Any

import pytest
from jwt.algorithms import HMACAlgorithm

from pds.accounts.errors import AccountError, ExpiredToken, InvalidToken, MissingTokenId
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens, TokenIssuer
from repo.keys import K256PrivateKey, K256PublicKey, P256PrivateKey
from tests.entryway import base64url, decode, sign, unbase64, with_high_s
from tests.pds.accounts.conftest import ALICE, JWT_SECRET, SERVICE_DID, START_S, FakeClock

ENTRYWAY_DID = "did:web:entryway.example.com"
KEY = K256PrivateKey.from_bytes(b"\x21" * 32)
NOT_VERIFIED = (InvalidToken, "Token could not be verified")
MALFORMED = (InvalidToken, "Malformed token")
BAD_SCOPE = (InvalidToken, "Bad token scope")
DROPPED = object()


@pytest.fixture
def tokens(clock: FakeClock) -> SessionTokens:
    assert isinstance(KEY.public, K256PublicKey)
    return SessionTokens(
        jwt_secret=JWT_SECRET,
        service_did=SERVICE_DID,
        issuer=TokenIssuer(ENTRYWAY_DID, KEY.public),
        clock=clock,
    )


def access_claims(**changes: Any) -> dict[str, Any]:
    claims = {
        "scope": "com.atproto.access",
        "aud": SERVICE_DID,
        "sub": ALICE,
        "iat": int(START_S),
        "exp": int(START_S) + 60,
    } | changes
    return {name: value for name, value in claims.items() if value is not DROPPED}


def refresh_claims(**changes: Any) -> dict[str, Any]:
    usual = {"scope": "com.atproto.refresh", "aud": ENTRYWAY_DID, "jti": "session"}
    return access_claims(**(usual | changes))


def access(**changes: Any) -> str:
    return sign(KEY, "at+jwt", access_claims(**changes))


def with_secret(secret: bytes, *, alg: str = "HS256") -> str:
    """A token whose signature is made with a secret, as anybody can who knows the public key."""
    token = sign(KEY, "at+jwt", access_claims(), alg=alg)
    signed = token.rpartition(".")[0]
    signature = HMACAlgorithm(HMACAlgorithm.SHA256).sign(signed.encode(), secret)
    return f"{signed}.{base64url(signature).decode()}"


def unsigned() -> str:
    return sign(KEY, "at+jwt", access_claims(), alg="none").rpartition(".")[0] + "."


def test_an_access_token_of_the_entryway_is_accepted(tokens: SessionTokens) -> None:
    claims = tokens.verify_access(access(scope="com.atproto.appPassPrivileged"))
    assert (claims.did, claims.scope) == (ALICE, SessionScope.APP_PASS_PRIVILEGED)
    assert claims.expires_at == int(START_S) + 60


def test_both_spellings_of_a_signature_are_accepted(tokens: SessionTokens) -> None:
    signed, _, signature = access().rpartition(".")
    other = base64url(with_high_s(unbase64(signature))).decode()
    for spelling in (signature, other):
        assert tokens.verify_access(f"{signed}.{spelling}").did == ALICE


def test_a_refresh_token_is_for_the_entryway(tokens: SessionTokens) -> None:
    claims = tokens.verify_refresh(sign(KEY, "refresh+jwt", refresh_claims()))
    assert (claims.did, claims.jti) == (ALICE, "session")


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(with_secret(KEY.public.point), id="HS256 with the public key"),
        pytest.param(with_secret(KEY.public.point.hex().encode()), id="HS256 with its hex digits"),
        pytest.param(with_secret(JWT_SECRET.encode()), id="HS256 with our own secret"),
        pytest.param(with_secret(KEY.public.point, alg="ES256K"), id="a MAC called ES256K"),
        pytest.param(unsigned(), id="no signature"),
        pytest.param(
            sign(K256PrivateKey.from_bytes(b"\x22" * 32), "at+jwt", access_claims()),
            id="another key of the curve",
        ),
        pytest.param(
            sign(P256PrivateKey.from_bytes(b"\x21" * 32), "at+jwt", access_claims()),
            id="another curve",
        ),
        pytest.param(
            sign(P256PrivateKey.from_bytes(b"\x21" * 32), "at+jwt", access_claims(), alg="ES256K"),
            id="another curve under this one's name",
        ),
        pytest.param(
            sign(KEY, "at+jwt", access_claims(), alg="ES256"), id="this curve under another's name"
        ),
        pytest.param(sign(KEY, "refresh+jwt", access_claims()), id="the type of a refresh token"),
        pytest.param(sign(KEY, "JWT", access_claims()), id="the type of a service token"),
        pytest.param(sign(KEY, None, access_claims()), id="no type"),
        pytest.param(access(aud=ENTRYWAY_DID), id="for the entryway"),
        pytest.param(access(aud="did:web:other.example.com"), id="for another server"),
        pytest.param(access(aud=[SERVICE_DID]), id="for a list of servers"),
        pytest.param(access(aud=DROPPED), id="for nobody"),
        pytest.param(access(exp=DROPPED), id="for ever"),
        pytest.param(access(nbf=int(START_S) + 1), id="not yet"),
        pytest.param(access(nbf="soon"), id="a time that is none"),
    ],
)
def test_a_forged_access_token_is_not_verified(tokens: SessionTokens, forged: str) -> None:
    with pytest.raises(AccountError) as caught:
        tokens.verify_access(forged)
    assert (type(caught.value), str(caught.value)) == NOT_VERIFIED


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"exp": int(START_S)}, (ExpiredToken, "Token has expired")),
        ({"lxm": "com.atproto.server.getSession"}, MALFORMED),
        ({"cnf": {"jkt": "x"}}, MALFORMED),
        ({"sub": "alice"}, MALFORMED),
        ({"scope": "com.atproto.everything"}, BAD_SCOPE),
        ({"scope": DROPPED}, BAD_SCOPE),
    ],
)
def test_claims_are_checked_as_without_an_entryway(
    tokens: SessionTokens, changes: dict[str, Any], refusal: tuple[type, str]
) -> None:
    with pytest.raises(AccountError) as caught:
        tokens.verify_access(access(**changes))
    assert (type(caught.value), str(caught.value)) == refusal


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"aud": SERVICE_DID}, NOT_VERIFIED),
        ({"scope": "com.atproto.access"}, BAD_SCOPE),
        ({"jti": DROPPED}, (MissingTokenId, "Unexpected missing refresh token id")),
        ({"exp": int(START_S)}, (ExpiredToken, "Token has expired")),
    ],
)
def test_a_refresh_token_for_anything_else_is_refused(
    tokens: SessionTokens, changes: dict[str, Any], refusal: tuple[type, str]
) -> None:
    with pytest.raises(AccountError) as caught:
        tokens.verify_refresh(sign(KEY, "refresh+jwt", refresh_claims(**changes)))
    assert (type(caught.value), str(caught.value)) == refusal


def test_tokens_of_this_server_s_own_are_not_accepted(tokens: SessionTokens) -> None:
    own = tokens.create_access(ALICE, SessionScope.ACCESS)
    assert decode(own.split(".")[0])["alg"] == "HS256"
    with pytest.raises(InvalidToken):
        tokens.verify_access(own)
    with pytest.raises(InvalidToken):
        tokens.verify_refresh(tokens.create_refresh(ALICE, "jti").jwt)


def test_without_an_entryway_none_of_its_tokens_are_accepted(clock: FakeClock) -> None:
    tokens = SessionTokens(jwt_secret=JWT_SECRET, service_did=SERVICE_DID, clock=clock)
    with pytest.raises(InvalidToken):
        tokens.verify_access(access())
