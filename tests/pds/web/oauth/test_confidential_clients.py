"""Clients on the web that authenticate with a key: the whole way, and what a thief cannot do."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pds.oauth.clients.assertions import ASSERTION_TYPE
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.oauth.client_host import ClientHost, serve_clients
from tests.pds.oauth.clients.metadata_samples import (
    CLIENT_ID,
    MISSING,
    PRIVATE_KEY,
    confidential,
    metadata,
)
from tests.pds.web.browser import Browser
from tests.pds.web.oauth.app_client import App
from tests.pds.web.oauth.steps import authorize

REDIRECT_URI = "https://app.bsky.app/cb"
KEYS_URL = "https://app.bsky.app/jwks.json"
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


class Confidential(App):
    """A client that signs an assertion for each request."""

    def __init__(self, pds: Pds) -> None:
        super().__init__(pds, client_id=CLIENT_ID, redirect_uri=REDIRECT_URI)
        self.client_key = PRIVATE_KEY
        self.kid = "key-1"

    def assertion(self, **claims: Any) -> str:
        """An assertion; `claims` replace some of its claims."""
        now = int(time.time())
        every = {
            "iss": CLIENT_ID,
            "sub": CLIENT_ID,
            "aud": self.issuer,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + 60,
            **claims,
        }
        return jwt.encode(every, self.client_key, "ES256", headers={"kid": self.kid})

    async def endpoint(
        self,
        path: Literal["par", "token", "revoke"],
        fields: dict[str, str],
        *,
        encoding: Literal["data", "json"] = "data",
    ) -> Reply:
        """Ask an endpoint, with an assertion, which a missing nonce does not use up."""
        signed = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}
        return await super().endpoint(path, {**signed, **fields}, encoding=encoding)


@pytest.fixture
async def host(
    pds: Pds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ClientHost]:
    """The host of the client, which the server of the test finds."""
    async with serve_clients(tmp_path, monkeypatch) as (host, http):
        assert pds.ctx.oauth is not None
        clients = pds.ctx.oauth.clients
        clients._metadata._http = clients._key_sets._http = http
        yield host


async def test_a_client_with_a_key_gets_tokens(pds: Pds, alice: Account, host: ClientHost) -> None:
    host.publish(confidential())
    app = Confidential(pds)

    page = await authorize(app, Browser(pds), alice)
    reply = await app.redeem(page.answer["code"])

    assert reply.status == 200, reply.body
    assert (await app.call("GET", "com.atproto.server.getSession")).json["did"] == alice.did
    assert (await app.refresh()).status == 200
    assert (await app.endpoint("revoke", {"token": app.tokens["refresh_token"]})).status == 200
    assert (await app.call("GET", "com.atproto.server.getSession")).status == 401


async def test_a_client_is_nobody_without_its_key(pds: Pds, host: ClientHost) -> None:
    host.publish(confidential())
    plain = App(pds, client_id=CLIENT_ID, redirect_uri=REDIRECT_URI)
    assert (await plain.endpoint("par", plain.parameters)).error[0] == 400

    thief = Confidential(pds)
    thief.client_key = OTHER_KEY
    assert (await thief.endpoint("par", thief.parameters)).error == (400, "invalid_client")


async def test_an_assertion_is_good_once(pds: Pds, host: ClientHost) -> None:
    host.publish(confidential())
    app = Confidential(pds)
    await app.push()
    used = {"client_assertion": app.assertion()}

    first = await app.endpoint("par", {**app.parameters, **used})
    second = await app.endpoint("par", {**app.parameters, **used})

    assert first.status == 201
    assert second.error == (400, "invalid_grant")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example"},
        {"iss": "https://other.app/x"},
        {"sub": "https://other.app/x"},
        {"iat": 0},
        {"jti": ""},
    ],
)
async def test_an_assertion_for_something_else_is_refused(
    pds: Pds, host: ClientHost, claims: dict[str, Any]
) -> None:
    host.publish(confidential())
    app = Confidential(pds)
    reply = await app.endpoint(
        "par", {**app.parameters, "client_assertion": app.assertion(**claims)}
    )
    assert reply.error == (400, "invalid_client")


async def test_a_new_key_is_found_although_the_old_ones_are_remembered(
    pds: Pds, alice: Account, host: ClientHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.publish(confidential(jwks=MISSING, jwks_uri=KEYS_URL))
    host.publish({"keys": [_jwk(PRIVATE_KEY, "key-1")]}, "/jwks.json")
    app = Confidential(pds)
    page = await authorize(app, Browser(pds), alice)
    assert (await app.redeem(page.answer["code"])).status == 200
    host.publish({"keys": [_jwk(OTHER_KEY, "key-2")]}, "/jwks.json")
    monkeypatch.setattr("pds.oauth.clients.web_files.ASK_AGAIN_S", 0)
    app.client_key, app.kid = OTHER_KEY, "key-2"

    assert (await app.endpoint("par", app.parameters)).status == 201


async def test_a_session_belongs_to_the_key_it_began_with(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    host.publish(
        confidential(jwks={"keys": [_jwk(PRIVATE_KEY, "key-1"), _jwk(OTHER_KEY, "key-2")]})
    )
    app = Confidential(pds)
    page = await authorize(app, Browser(pds), alice)
    await app.redeem(page.answer["code"])
    app.client_key, app.kid = OTHER_KEY, "key-2"

    reply = await app.refresh()

    assert reply.error == (400, "invalid_grant")
    assert "different key" in reply.json["error_description"]


async def test_a_client_that_gives_up_its_key_loses_its_sessions(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    host.publish(confidential())
    app = Confidential(pds)
    page = await authorize(app, Browser(pds), alice)
    await app.redeem(page.answer["code"])
    host.publish(metadata())
    assert pds.ctx.oauth is not None
    pds.ctx.oauth.clients._metadata._kept.clear()

    plain = App(pds, client_id=CLIENT_ID, redirect_uri=REDIRECT_URI)
    plain.key = app.key
    assert (await plain.refresh(app.tokens["refresh_token"])).error == (400, "invalid_grant")


async def test_the_page_names_the_host_that_vouches_for_the_client(
    pds: Pds, alice: Account, host: ClientHost
) -> None:
    host.publish(confidential(client_name="Bank\u202e of\n Trust"))
    page = await Browser(pds).open("/oauth/authorize", **await Confidential(pds).push())
    assert "Bank of Trust" in page.text
    assert "app.bsky.app" in page.text


async def test_a_client_that_cannot_be_found_is_told_so(pds: Pds, host: ClientHost) -> None:
    app = Confidential(pds)
    reply = await app.endpoint("par", app.parameters)
    assert reply.error == (400, "invalid_client_metadata")
    assert "status 404" in reply.json["error_description"]


def _jwk(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "ES256"}
