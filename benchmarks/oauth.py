"""OAuth on both servers: pushing requests, refreshing, and calls whose tokens are bound to a key.

Every request has a proof of its own, signed before the load begins. The sessions are written to the
table that both servers have, as their token endpoints would.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson

from benchmarks import load
from benchmarks.seed import Repo, create_repo, post
from benchmarks.servers import SECRET, Launch, Server, running
from database.change_watch import ChangeWatch
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.schema import open_account_database
from pds.jose.jwk import Jwk
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.grants import CodeGrant, TokenClient
from pds.oauth.tokens.tokens import OAuthTokens
from repo.syntax import Did
from tests.pds.oauth.client_keys import ClientKey

_ISSUER: Final = "https://pds.test"
_SCOPE: Final = "atproto transition:generic"
_REDIRECT_URI: Final = "http://127.0.0.1/"
_CLIENT_ID: Final = f"http://localhost?{urllib.parse.urlencode({'scope': _SCOPE})}"
# https://www.rfc-editor.org/rfc/rfc7636#appendix-B
_VERIFIER: Final = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
_CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
_CONNECTIONS: Final = 8
_MOST_PER_S: Final = 12_000
"""Requests that are made for each second of a load: more than either server answers."""

_Request: TypeAlias = tuple[str, ...]
"""Method, path, media type, credentials, proof, body: the columns of `load.lua`."""

REFRESH: Final = "oauth: token by refresh"
PUSH: Final = "oauth: pushed request"
GET_SESSION: Final = "oauth: getSession with DPoP"
CREATE: Final = "oauth: createRecord with DPoP"
CREATE_BY_SESSION: Final = "oauth: createRecord with a session"
LOADS: Final = (REFRESH, PUSH, GET_SESSION, CREATE, CREATE_BY_SESSION)


@dataclass(slots=True)
class _App:
    """A client with a session at one server."""

    launch: Launch
    server: Server
    repo: Repo
    key: ClientKey
    access_token: str

    def requests(self, name: str, number: int) -> Iterator[_Request]:
        """Make the requests of a load, none of which may be sent twice."""
        makers: Mapping[str, Callable[[int], Iterator[_Request]]] = {
            REFRESH: self._refreshes,
            PUSH: self._pushes,
            GET_SESSION: self._reads,
            CREATE: self._creations,
            CREATE_BY_SESSION: self._creations_by_session,
        }
        return makers[name](number)

    def _refreshes(self, number: int) -> Iterator[_Request]:
        path, nonce = "/oauth/token", self._nonce()
        form = {"grant_type": "refresh_token", "client_id": _CLIENT_ID}
        for token in _more_sessions(self.launch, number):
            body = orjson.dumps({**form, "refresh_token": token}).decode()
            yield ("POST", path, "application/json", "", self._proof("POST", path, nonce), body)

    def _pushes(self, number: int) -> Iterator[_Request]:
        path, nonce = "/oauth/par", self._nonce()
        body = orjson.dumps(_PARAMETERS).decode()
        for _ in range(number):
            yield ("POST", path, "application/json", "", self._proof("POST", path, nonce), body)

    def _reads(self, number: int) -> Iterator[_Request]:
        path, nonce = "/xrpc/com.atproto.server.getSession", self._nonce()
        for _ in range(number):
            yield ("GET", path, "", *self._bound("GET", path, nonce), "")

    def _creations(self, number: int) -> Iterator[_Request]:
        path, nonce = "/xrpc/com.atproto.repo.createRecord", self._nonce()
        for body in self._posts(number):
            yield ("POST", path, "application/json", *self._bound("POST", path, nonce), body)

    def _creations_by_session(self, number: int) -> Iterator[_Request]:
        path, token = "/xrpc/com.atproto.repo.createRecord", f"Bearer {self.repo.token}"
        for body in self._posts(number):
            yield ("POST", path, "application/json", token, "", body)

    def _posts(self, number: int) -> Iterator[str]:
        for one in range(number):
            body = {"repo": self.repo.did, "collection": "app.bsky.feed.post", "record": post(one)}
            yield orjson.dumps(body).decode()

    def _bound(self, method: str, path: str, nonce: str) -> tuple[str, str]:
        proof = self._proof(method, path, nonce, self.access_token)
        return f"DPoP {self.access_token}", proof

    def _proof(self, method: str, path: str, nonce: str, token: str | None = None) -> str:
        return self.key.proof(
            method, _ISSUER + path, nonce=nonce, now_s=time.time(), access_token=token
        )

    def _nonce(self) -> str:
        """The newest nonce: any answer of the token endpoint has it."""
        request = urllib.request.Request(f"{self.server.url}/oauth/token", b"{}", method="POST")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.headers["DPoP-Nonce"])
        except urllib.error.HTTPError as exc:
            with exc:
                return str(exc.headers["DPoP-Nonce"])


def measure_oauth(
    launches: Mapping[str, Launch], seconds: float, rounds: int
) -> dict[str, dict[str, load.Result]]:
    """Load fresh servers in turn, for `seconds` each time; return the median of each load."""
    found: dict[str, dict[str, list[load.Result]]] = {name: {} for name in launches}
    with ExitStack() as stack:
        apps = {name: _begin(stack, launch) for name, launch in launches.items()}
        # The first round warms up.
        for number in range(rounds + 1):
            for each in LOADS:
                for name, app in apps.items():
                    result = _load(app, each, seconds)
                    if number:
                        found[name].setdefault(each, []).append(result)
    return {
        name: {each: load.median(results) for each, results in loads.items()}
        for name, loads in found.items()
    }


def _load(app: _App, name: str, seconds: float) -> load.Result:
    number = int(_MOST_PER_S * seconds)
    with tempfile.NamedTemporaryFile("w", suffix=".requests") as file:
        for request in app.requests(name, number):
            file.write("\t".join(request) + "\n")
        file.flush()
        return load.replay(app.server, file.name, connections=_CONNECTIONS, seconds=seconds)


def _begin(stack: ExitStack, launch: Launch) -> _App:
    server = stack.enter_context(running(launch))
    repo, key = create_repo(server, "bench-oauth", 200), ClientKey.new()
    return _App(launch, server, repo, key, asyncio.run(_session(launch, Did(repo.did), key)))


_PARAMETERS: Final = {
    "client_id": _CLIENT_ID,
    "response_type": "code",
    "redirect_uri": _REDIRECT_URI,
    "scope": _SCOPE,
    "code_challenge": _CHALLENGE,
    "code_challenge_method": "S256",
}


async def _session(launch: Launch, did: Did, key: ClientKey) -> str:
    """Write a session beside the running server; return its access token."""

    async def expand(scope: str) -> str:
        return scope

    with closing(open_account_database(launch.data / "account.sqlite")) as db:
        AccessCutoffs(db, ChangeWatch(db), clock=time.time)
        tokens = OAuthTokens(
            db,
            SqliteReplays.in_memory(clock=time.time),
            jwt_secret=SECRET,
            service_did="did:web:pds.test",
            issuer=_ISSUER,
            expand_scope=expand,
            clock=time.time,
        )
        code, auth = f"cod-{secrets.token_hex(32)}", ClientAuth("none")
        parameters = AuthorizationParameters(dict(_PARAMETERS))
        grants = frozenset({"authorization_code", "refresh_token"})
        answer = await tokens.issue(
            TokenClient(_CLIENT_ID, "none", grants, has_long_sessions=False),
            auth,
            CodeGrant(code, did, None, _CLIENT_ID, auth, parameters, cutoff_s=0),
            redirect_uri=_REDIRECT_URI,
            code_verifier=_VERIFIER,
            jkt=Jwk.parse(key.jwk).thumbprint(),
        )
        return answer.access_token


def _more_sessions(launch: Launch, number: int) -> list[str]:
    """Copy the oldest session; return the refresh tokens of the copies."""
    tokens = [f"ref-{secrets.token_hex(32)}" for _ in range(number)]
    copied = "did, createdAt, updatedAt, expiresAt, clientId, clientAuth, parameters, scope"
    with closing(sqlite3.connect(launch.data / "account.sqlite", timeout=10)) as db, db:
        db.executemany(
            f"INSERT INTO token (tokenId, currentRefreshToken, {copied})"
            f" SELECT ?, ?, {copied} FROM token ORDER BY id LIMIT 1",
            [(f"tok-{secrets.token_hex(16)}", token) for token in tokens],
        )
    return tokens
