"""Taking requests in: pushed by the client, or brought by a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import jwt
import pytest

from identity.http import SafeHttp
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.clients.clients import Clients
from pds.oauth.errors import AccessDenied, InvalidRequest, InvalidScope, InvalidToken
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from pds.oauth.requests.intake import RequestIntake
from pds.oauth.requests.payload import RequestObject, read_query
from pds.oauth.requests.request_objects import RequestObjects
from pds.oauth.requests.rules import RequestRules
from pds.oauth.scopes.scope import parse_scope
from tests.pds.accounts.conftest import FakeClock
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, PRIVATE_KEY
from tests.pds.oauth.requests.samples import (
    confidential_client,
    parameters,
    payload,
    public_client,
)

DEVICE = "dev-" + "0" * 32
LOOPBACK = "http://localhost?scope=atproto%20transition:generic&redirect_uri=http://127.0.0.1/cb"
NONE = ClientAuth("none")
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@dataclass
class Desk:
    """Where requests are taken in."""

    intake: RequestIntake
    requests: AuthorizationRequests
    now_s: float


async def _any_sets(_scope: str) -> None:
    return None


@pytest.fixture
async def desk(requests: AuthorizationRequests, clock: FakeClock) -> AsyncIterator[Desk]:
    replays = SqliteReplays.in_memory(clock=clock)
    async with SafeHttp() as http:
        clients = Clients(http, clock=clock)
        rules = RequestRules(
            is_scope=lambda text: parse_scope(text) is not None, resolve_sets=_any_sets
        )
        objects = RequestObjects(clients, replays, issuer="https://pds.example.com", clock=clock)
        yield Desk(RequestIntake(clients, requests, rules, objects), requests, clock.now_s)
    await replays.close()


def loopback_query(**changes: str) -> dict[str, object]:
    """What the browser of a client in development brings."""
    return payload(client_id=LOOPBACK, redirect_uri="http://127.0.0.1:5173/cb", **changes)


async def test_a_pushed_request_can_be_opened(desk: Desk) -> None:
    pushed = await desk.intake.push(public_client(), NONE, parameters(), jkt=None)
    request = await desk.requests.open(pushed.request_uri, client_id=CLIENT_ID, device_id=DEVICE)
    assert request.client_auth == NONE
    assert request.parameters.json == payload(prompt="consent")


async def test_tokens_are_bound_to_the_key_of_the_proof(desk: Desk) -> None:
    pushed = await desk.intake.push(public_client(), NONE, parameters(), jkt=JKT)
    assert pushed.parameters.dpop_jkt == JKT


async def test_tokens_are_bound_to_the_key_that_the_request_names(desk: Desk) -> None:
    for jkt in (None, JKT):
        pushed = await desk.intake.push(public_client(), NONE, parameters(dpop_jkt=JKT), jkt=jkt)
        assert pushed.parameters.dpop_jkt == JKT


async def test_a_proof_of_another_key_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidToken, match="Invalid DPoP key binding"):
        await desk.intake.push(public_client(), NONE, parameters(dpop_jkt="other"), jkt=JKT)


async def test_errors_for_people_are_plain_errors_of_a_pushed_request(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="not allowed to use silent-sign-on"):
        await desk.intake.push(public_client(), NONE, parameters(prompt="none"), jkt=None)


async def test_a_pushed_request_may_be_a_jwt(desk: Desk) -> None:
    claims = payload(iss=CLIENT_ID, aud="https://pds.example.com", iat=desk.now_s, jti="1")
    token = jwt.encode(claims, PRIVATE_KEY, algorithm="ES256", headers={"kid": "key-1"})

    pushed = await desk.intake.push(
        confidential_client(), NONE, RequestObject(CLIENT_ID, token), jkt=None
    )

    assert pushed.parameters.json == payload()


async def test_a_jwt_speaks_for_no_other_client(desk: Desk) -> None:
    claims = payload(
        client_id=LOOPBACK, iss=CLIENT_ID, aud="https://pds.example.com", iat=desk.now_s, jti="1"
    )
    token = jwt.encode(claims, PRIVATE_KEY, algorithm="ES256", headers={"kid": "key-1"})
    with pytest.raises(InvalidRequest, match="does not match the value used to authenticate"):
        await desk.intake.push(
            confidential_client(), NONE, RequestObject(CLIENT_ID, token), jkt=None
        )


async def test_a_browser_may_bring_a_request_that_nobody_pushed(desk: Desk) -> None:
    opened = await desk.intake.open(read_query(loopback_query()), device_id=DEVICE)

    assert opened.client.is_loopback
    assert opened.request.client_auth is None
    assert opened.request.device_id == DEVICE
    assert opened.request.parameters.prompt == "consent"


async def test_a_refused_query_can_be_answered_to_the_client(desk: Desk) -> None:
    query = read_query(loopback_query(scope="atproto repo:*"))
    with pytest.raises(InvalidScope) as refused:
        await desk.intake.open(query, device_id=DEVICE)
    assert refused.value.parameters is not None
    assert refused.value.parameters.redirect_uri == "http://127.0.0.1:5173/cb"


async def test_a_query_leads_nowhere_that_the_client_has_not_registered(desk: Desk) -> None:
    query = read_query(loopback_query() | {"redirect_uri": "https://evil.com/"})
    with pytest.raises(InvalidRequest, match="Invalid redirect_uri") as refused:
        await desk.intake.open(query, device_id=DEVICE)
    assert refused.value.parameters is None


async def test_a_reference_opens_the_request_of_its_client_only(desk: Desk) -> None:
    first = await desk.intake.open(read_query(loopback_query()), device_id=DEVICE)
    uri = first.request.request_uri
    again = await desk.intake.open(
        read_query({"client_id": LOOPBACK, "request_uri": uri}), device_id=DEVICE
    )
    assert again.request.parameters == first.request.parameters

    with pytest.raises(AccessDenied, match="initiated for another client"):
        await desk.intake.open(
            read_query({"client_id": "http://localhost", "request_uri": uri}), device_id=DEVICE
        )
