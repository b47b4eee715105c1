"""Client assertions: the client's key, this server, the last minute, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pds.jose.jwk import ALGORITHMS, Jwk
from pds.jose.jwks import Jwks
from pds.oauth.clients.assertions import (
    ASSERTION_TYPE,
    MAX_AGE_S,
    ClientAssertions,
    UnknownAssertionKey,
)
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.clients.signed import LEEWAY_S, MAX_LENGTH
from pds.oauth.errors import InvalidClient, InvalidGrant
from pds.oauth.replay.sqlite import SqliteReplays
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.client_keys import ClientKey

ISSUER = "https://pds.example.com"
CLIENT = "https://app.example.com/client-metadata.json"
KEY = ClientKey.new(kid="key-1")
KEYS = Jwks.parse({"keys": [KEY.published]})
NOW = int(START_S)
CLAIMS = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": "1", "iat": NOW, "exp": NOW + 60}


@pytest.fixture
def assertions(replays: SqliteReplays, clock: FakeClock) -> ClientAssertions:
    return ClientAssertions(replays, issuer=ISSUER, clock=clock)


Make = Callable[..., str]


def make(key: ClientKey = KEY, *, kid: str | None = "key-1", **differing: Any) -> str:
    claims = {**CLAIMS, **differing}
    header = {} if kid is None else {"kid": kid}
    return key.sign({name: value for name, value in claims.items() if value is not None}, **header)


async def check(
    assertions: ClientAssertions,
    assertion: str,
    keys: Jwks = KEYS,
    *,
    assertion_type: str | None = ASSERTION_TYPE,
) -> ClientAuth:
    return await assertions.check(CLIENT, keys, assertion=assertion, assertion_type=assertion_type)


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_an_assertion_says_which_key_signed_it(
    assertions: ClientAssertions, alg: str
) -> None:
    key = ClientKey.new(alg, kid="key-1")
    auth = await check(assertions, make(key), Jwks.parse({"keys": [key.published]}))
    jkt = Jwk.parse(key.jwk).thumbprint("sha512")
    assert auth == ClientAuth("private_key_jwt", alg, "key-1", jkt, "1", NOW + 60)
    assert ClientAuth.from_json(auth.to_json()) == auth


async def test_an_assertion_is_used_once(assertions: ClientAssertions, clock: FakeClock) -> None:
    assertion = make(exp=NOW + 10**9)
    await check(assertions, assertion)
    for _ in range(MAX_AGE_S + LEEWAY_S + 10):
        with pytest.raises((InvalidGrant, InvalidClient)):
            await check(assertions, assertion)
        clock.now_s += 1


async def test_an_assertion_from_a_fast_clock_is_used_once(
    assertions: ClientAssertions, clock: FakeClock
) -> None:
    assertion = make(iat=NOW + LEEWAY_S, exp=None)
    await check(assertions, assertion)
    for _ in range(MAX_AGE_S + 2 * LEEWAY_S + 10):
        with pytest.raises((InvalidGrant, InvalidClient)):
            await check(assertions, assertion)
        clock.now_s += 1


async def test_the_same_id_of_another_client_is_another_assertion(
    assertions: ClientAssertions,
) -> None:
    other = "https://other.example.com/client-metadata.json"
    await assertions.check(
        other, KEYS, assertion=make(iss=other, sub=other), assertion_type=ASSERTION_TYPE
    )
    assert (await check(assertions, make())).jti == "1"


async def test_an_expiry_is_not_needed(assertions: ClientAssertions) -> None:
    assert (await check(assertions, make(exp=None))).exp is None


async def test_one_of_several_audiences_is_enough(assertions: ClientAssertions) -> None:
    assert await check(assertions, make(aud=["https://other.example.com", ISSUER]))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other issuer": ({"iss": "https://evil.example.com/"}, 'unexpected "iss" claim value'),
    "without issuer": ({"iss": None}, 'unexpected "iss" claim value'),
    "other subject": ({"sub": "https://evil.example.com/"}, 'unexpected "sub" claim value'),
    "for another server": ({"aud": "https://other.example.com"}, 'unexpected "aud" claim value'),
    "for the token endpoint": ({"aud": f"{ISSUER}/oauth/token"}, 'unexpected "aud" claim value'),
    "for nobody": ({"aud": []}, 'unexpected "aud" claim value'),
    "for a number": ({"aud": 5}, 'unexpected "aud" claim value'),
    "old": ({"iat": NOW - MAX_AGE_S - 1}, '"iat" claim timestamp check failed'),
    "from the future": ({"iat": NOW + LEEWAY_S + 1}, '"iat" claim timestamp check failed'),
    "without time": ({"iat": None}, 'missing required "iat" claim'),
    "expired": ({"exp": NOW}, '"exp" claim timestamp check failed'),
    "valid for ever": ({"exp": 1e300}, '"exp" claim timestamp check failed'),
    "not valid yet": ({"nbf": NOW + LEEWAY_S + 1}, '"nbf" claim timestamp check failed'),
    "without id": ({"jti": None}, 'missing required "jti" claim'),
    "long id": ({"jti": "j" * 513}, 'missing required "jti" claim'),
    "id that is a list": ({"jti": ["1"]}, 'missing required "jti" claim'),
}


@pytest.mark.parametrize(("differing", "expected"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_assertion_is_refused(
    assertions: ClientAssertions, differing: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InvalidClient, match=expected):
        await check(assertions, make(**differing))
    assert await check(assertions, make()), "what was refused uses nothing up"


async def test_an_unknown_key_may_be_in_a_fresh_key_set(assertions: ClientAssertions) -> None:
    rotated = ClientKey.new(kid="key-2")
    assertion = make(rotated, kid="key-2")
    with pytest.raises(UnknownAssertionKey, match="no applicable key"):
        await check(assertions, assertion)
    assert await check(assertions, assertion, Jwks.parse({"keys": [rotated.published]}))


async def test_another_key_of_the_same_id_is_refused(assertions: ClientAssertions) -> None:
    with pytest.raises(InvalidClient, match="signature verification failed"):
        await check(assertions, make(ClientKey.new(kid="key-1")))


async def test_an_assertion_names_its_key(assertions: ClientAssertions) -> None:
    with pytest.raises(InvalidClient, match='"kid" required in client_assertion'):
        await check(assertions, make(kid=None))


@pytest.mark.parametrize("assertion_type", [None, "", "x" * 10_000, f"{ASSERTION_TYPE}2"])
async def test_other_types_are_refused(
    assertions: ClientAssertions, assertion_type: str | None
) -> None:
    with pytest.raises(InvalidClient, match="Unsupported client_assertion_type") as caught:
        await check(assertions, make(), assertion_type=assertion_type)
    assert len(caught.value.description) < 200


@pytest.mark.parametrize(
    "assertion", ["", "x", "a.b.c", "e30.e30.", "\ud800", "x" * (MAX_LENGTH + 1)]
)
async def test_what_is_no_jwt_is_refused(assertions: ClientAssertions, assertion: str) -> None:
    with pytest.raises(InvalidClient):
        await check(assertions, assertion)
