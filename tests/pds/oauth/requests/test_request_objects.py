"""Requests in JWTs: read once, from the client that signed them, while they are fresh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from identity.http import SafeHttp
from pds.oauth.clients.client import Client
from pds.oauth.clients.clients import Clients
from pds.oauth.errors import InvalidRequest
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.requests.request_objects import MAX_AGE_S, REMEMBERED_S, RequestObjects
from tests.pds.accounts.conftest import FakeClock
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, MISSING, PRIVATE_KEY
from tests.pds.oauth.requests.samples import confidential_client, payload, public_client

ISSUER = "https://pds.example.com"
UNSIGNED = public_client(request_object_signing_alg="none")


def claims(clock: FakeClock, **changes: Any) -> dict[str, Any]:
    """The claims of a request object, with some changed."""
    members = {
        **payload(),
        "iss": CLIENT_ID,
        "aud": ISSUER,
        "iat": int(clock.now_s),
        "jti": "jti-1",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not MISSING}


def signed(claims: dict[str, Any], *, key: Any = PRIVATE_KEY, **header: Any) -> str:
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": "key-1", **header})


def unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", algorithm="none")


@pytest.fixture
async def objects(clock: FakeClock) -> AsyncIterator[RequestObjects]:
    replays = SqliteReplays.in_memory(clock=clock)
    async with SafeHttp() as http:
        yield RequestObjects(Clients(http, clock=clock), replays, issuer=ISSUER, clock=clock)
    await replays.close()


async def reason_of(objects: RequestObjects, client: Client, token: str) -> str:
    """Why a request object is refused."""
    with pytest.raises(InvalidRequest) as refused:
        await objects.read(client, token)
    return refused.value.description


async def test_the_claims_of_a_signed_object_are_the_request(
    objects: RequestObjects, clock: FakeClock
) -> None:
    read = await objects.read(confidential_client(), signed(claims(clock)))
    assert read.json == payload()


@pytest.mark.parametrize("left_out", [(), ("iss",), ("aud",), ("iss", "aud")])
async def test_a_client_may_declare_that_it_signs_nothing(
    objects: RequestObjects, clock: FakeClock, left_out: tuple[str, ...]
) -> None:
    token = unsigned(claims(clock, **dict.fromkeys(left_out, MISSING)))
    assert (await objects.read(UNSIGNED, token)).json == payload()


async def test_an_unsigned_object_is_refused_of_any_other_client(
    objects: RequestObjects, clock: FakeClock
) -> None:
    token = unsigned(claims(clock))
    for client in (public_client(), confidential_client()):
        assert (await reason_of(objects, client, token)).startswith('Invalid "request" object: ')


async def test_a_signed_object_is_refused_of_a_client_that_signs_nothing(
    objects: RequestObjects, clock: FakeClock
) -> None:
    forged = signed(claims(clock), key=ec.generate_private_key(ec.SECP256R1()))
    assert "it is signed" in await reason_of(objects, UNSIGNED, forged)


async def test_only_the_clients_own_key_signs(objects: RequestObjects, clock: FakeClock) -> None:
    client = confidential_client()
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert "signature" in await reason_of(objects, client, signed(claims(clock), key=stranger))
    assert "no applicable key" in await reason_of(
        objects, client, signed(claims(clock), kid="key-2")
    )


async def test_the_declared_algorithm_is_the_only_one(
    objects: RequestObjects, clock: FakeClock
) -> None:
    client = confidential_client(request_object_signing_alg="ES384")
    assert "not signed with ES384" in await reason_of(objects, client, signed(claims(clock)))


@pytest.mark.parametrize("client", [confidential_client(), UNSIGNED])
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://other.app/x"}, '"iss"'),
        ({"aud": "https://other.example"}, '"aud"'),
        ({"iat": MISSING}, '"iat"'),
        ({"iat": "now"}, '"iat"'),
        ({"iat": 0}, '"iat"'),
        ({"iat": 10**12}, '"iat"'),
        ({"exp": 1}, '"exp"'),
        ({"nbf": 10**12}, '"nbf"'),
        ({"jti": MISSING}, '"jti"'),
        ({"jti": ""}, '"jti"'),
        ({"jti": "a" * 2_000}, '"jti"'),
        ({"scope": 5}, "Invalid parameters in JAR: Input should be a valid string at scope"),
        ({"response_type": MISSING}, "Invalid parameters in JAR: Field required at response_type"),
    ],
)
async def test_claims_that_are_wrong_are_named(
    objects: RequestObjects, clock: FakeClock, client: Client, changes: dict[str, Any], reason: str
) -> None:
    written = claims(clock, **changes)
    token = unsigned(written) if client is UNSIGNED else signed(written)
    assert reason in await reason_of(objects, client, token)


async def test_an_object_is_fresh_for_a_minute(objects: RequestObjects, clock: FakeClock) -> None:
    token = signed(claims(clock))
    clock.now_s += MAX_AGE_S + 1
    assert '"iat"' in await reason_of(objects, confidential_client(), token)


async def test_an_object_is_read_once(objects: RequestObjects, clock: FakeClock) -> None:
    token = signed(claims(clock))
    await objects.read(confidential_client(), token)
    assert await reason_of(objects, confidential_client(), token) == "Request object was replayed"
    clock.now_s += REMEMBERED_S
    assert "timestamp" in await reason_of(objects, confidential_client(), token)


async def test_a_wrong_object_uses_up_no_jti(objects: RequestObjects, clock: FakeClock) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    await reason_of(objects, confidential_client(), signed(claims(clock), key=stranger))
    assert (await objects.read(confidential_client(), signed(claims(clock)))).json == payload()


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "..", "é.é.é", "e30.e30.", "a.b.c.d"])
async def test_what_is_no_jwt_is_refused(objects: RequestObjects, token: str) -> None:
    for client in (confidential_client(), UNSIGNED):
        assert (await reason_of(objects, client, token)).startswith('Invalid "request" object: ')
