"""An OAuth session goes from Holdfast to the reference and back, and nobody signs in again.

The session begins as Holdfast's code writes it. After that, each server runs on the directory in
turn: the app uses the tokens of the server before, and refreshes them.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from database.change_watch import ChangeWatch
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.schema import open_account_database
from pds.dev.plc_store import PlcStore
from pds.jose.jwk import Jwk
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.grants import CodeGrant, TokenClient
from pds.oauth.tokens.tokens import OAuthTokens
from repo.syntax import Did
from tests.conformance.client import Client, Reply
from tests.pds.oauth.client_keys import ClientKey
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

SCOPE = "atproto transition:generic"
CLIENT_ID = f"http://localhost?{urllib.parse.urlencode({'scope': SCOPE})}"
REDIRECT_URI = "http://127.0.0.1/"
# https://www.rfc-editor.org/rfc/rfc7636#appendix-B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
GET_SESSION = "/xrpc/com.atproto.server.getSession"
STAGES = ("first", "reference", "last")
"""Holdfast comes first and last."""


@dataclass
class App:
    """A native app with its key and its tokens."""

    url: str
    key: ClientKey = field(default_factory=ClientKey.new)
    nonce: str | None = None
    access_token: str = ""
    refresh_token: str = ""

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> Reply:
        """Send a request with a proof, and a second one if the server wants another nonce."""
        reply = self._send(method, path, body, token)
        if b"use_dpop_nonce" in reply.body:
            reply = self._send(method, path, body, token)
        return reply

    def get_session(self, token: str | None = None) -> Reply:
        return self.call("GET", GET_SESSION, token=token or self.access_token)

    def refresh(self, refresh_token: str | None = None) -> Reply:
        """Refresh; keep the new tokens if there are any."""
        grant = {"grant_type": "refresh_token", "client_id": CLIENT_ID}
        grant["refresh_token"] = refresh_token or self.refresh_token
        reply = self.call("POST", "/oauth/token", grant)
        if reply.status == 200:
            self.access_token = reply.json["access_token"]
            self.refresh_token = reply.json["refresh_token"]
        return reply

    def _send(self, method: str, path: str, body: object, token: str | None) -> Reply:
        proof = self.key.proof(
            method, self.url + path, nonce=self.nonce, now_s=time.time(), access_token=token
        )
        headers = {"DPoP": proof, "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"DPoP {token}"
        sent = None if body is None else json.dumps(body).encode()
        reply = Client(self.url).request(method, path, headers=headers, body=sent)
        self.nonce = reply.headers.get("dpop-nonce", self.nonce)
        return reply


async def begin_session(app: App, directory: Path, did: Did, jwt_secret: str) -> None:
    """Write a session for a consumed code, as the token endpoint does."""
    db = open_account_database(directory / "account.sqlite")
    AccessCutoffs(db, ChangeWatch(db), clock=time.time)

    async def expand(scope: str) -> str:
        return scope

    tokens = OAuthTokens(
        db,
        SqliteReplays.in_memory(clock=time.time),
        jwt_secret=jwt_secret,
        service_did="did:web:localhost",
        issuer=app.url,
        expand_scope=expand,
        clock=time.time,
    )
    parameters = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    grant = CodeGrant(
        f"cod-{'0' * 64}",
        did,
        None,
        CLIENT_ID,
        ClientAuth("none"),
        AuthorizationParameters(parameters),
        cutoff_s=0,
    )
    grants = frozenset({"authorization_code", "refresh_token"})
    answer = await tokens.issue(
        TokenClient(CLIENT_ID, "none", grants, has_long_sessions=False),
        ClientAuth("none"),
        grant,
        redirect_uri=REDIRECT_URI,
        code_verifier=VERIFIER,
        jkt=Jwk.parse(app.key.jwk).thumbprint(),
    )
    assert answer.refresh_token is not None
    app.access_token, app.refresh_token = answer.access_token, answer.refresh_token
    db.close()


@dataclass
class Seen:
    """What the app saw of one server."""

    with_earlier: Reply
    """With the access token of the server before."""
    refreshed: Reply
    with_fresh: Reply
    with_spent: Reply
    """With the access token that the refresh replaced."""


@dataclass
class Journey:
    stages: dict[str, Seen]
    replayed: Reply
    """The last server's answer to a refresh token that the reference had replaced."""
    after_replay: Reply


@pytest.fixture(scope="module")
def journey(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The whole way; it takes as long as three starts of a server."""
    home, port = tmp_path_factory.mktemp("oauth"), free_port()
    directory = data.unpack(home / "data")
    store = PlcStore(home / "plc.sqlite")
    plc.import_logs(store)
    store.close()
    alice = Did(data.manifest()["accounts"]["alice"]["did"])
    app = App(f"http://localhost:{port}")
    with plc.directory_of(home / "plc.sqlite") as plc_url:
        environment = data.environment(directory) | {"PDS_DID_PLC_URL": plc_url}
        asyncio.run(begin_session(app, directory, alice, environment["PDS_JWT_SECRET"]))
        stages: dict[str, Seen] = {}
        to_be_replaced = ""
        replies: list[Reply] = []
        for name in STAGES:
            start = reference.serve if name == "reference" else serve
            server = start(environment, port=port, log_file=home / f"{name}.log")
            try:
                stages[name] = use(app)
                if name == "first":
                    to_be_replaced = app.refresh_token
                if name == "last":
                    replies = [app.refresh(to_be_replaced), app.get_session()]
                stop(server)
            finally:
                server.kill()
    return Journey(stages, *replies)


def use(app: App) -> Seen:
    spent = app.access_token
    with_earlier, refreshed = app.get_session(), app.refresh()
    return Seen(with_earlier, refreshed, app.get_session(), app.get_session(spent))


def stop(server: ServerProcess) -> None:
    assert server.stop() == 0, server.log()


@pytest.mark.parametrize("stage", STAGES)
def test_tokens_of_the_server_before_are_good(journey: Journey, stage: str) -> None:
    seen = journey.stages[stage]
    assert (seen.with_earlier.status, seen.with_earlier.json["handle"]) == (200, "alice.test")
    assert (seen.refreshed.status, seen.with_fresh.status) == (200, 200)


@pytest.mark.parametrize("stage", STAGES)
def test_both_servers_answer_a_refresh_alike(journey: Journey, stage: str) -> None:
    answer: dict[str, Any] = dict(journey.stages[stage].refreshed.json)
    assert answer.pop("access_token").count(".") == 2
    assert answer.pop("refresh_token").startswith("ref-")
    assert 3590 <= answer.pop("expires_in") <= 3600
    assert answer == {
        "token_type": "DPoP",
        "scope": SCOPE,
        "sub": journey.stages[stage].with_fresh.json["did"],
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_refresh_ends_the_access_token_before(journey: Journey, stage: str) -> None:
    reply = journey.stages[stage].with_spent
    assert reply.status == 401
    assert reply.json == {"error": "invalid_token", "message": "Invalid token"}
    assert reply.headers["www-authenticate"].startswith('DPoP algs="RS256 ')


def test_a_refresh_token_that_the_other_server_replaced_ends_the_session(
    journey: Journey,
) -> None:
    assert journey.replayed.status == 400
    assert journey.replayed.json == {
        "error": "invalid_grant",
        "error_description": "Refresh token replayed",
    }
    assert journey.after_replay.status == 401
