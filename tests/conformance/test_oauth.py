"""The same OAuth requests of clients to both servers: the same answers.

Texts that a library of the reference writes are told apart from those that it wrote itself: only
the latter have to be the same.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import pytest

from pds.dev.plc_store import PlcStore
from tests.conformance.client import Client, Reply
from tests.pds.web.browser import NAVIGATION
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

CLIENT_ID: Final = (
    "http://localhost?scope=atproto%20transition:generic%20future:thing"
    "&redirect_uri=http://127.0.0.1/cb"
)
CODE: Final = "cod-" + "0" * 64
REFRESH: Final = "ref-" + "0" * 64
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}


def asked(**changes: str | None) -> dict[str, str]:
    """The parameters of a request that is taken, with some changed or, as None, removed."""
    parameters: dict[str, str | None] = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": "http://127.0.0.1:5173/cb",
        "scope": "atproto transition:generic",
        "state": "xyz",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


PUSHED: Final[dict[str, dict[str, str]]] = {
    "plain": asked(),
    "every parameter": asked(
        login_hint="Alice.Test", ui_locales="fr-CA en", display="popup", response_mode="fragment"
    ),
    "unknown scope": asked(scope="atproto future:thing atproto"),
    "only redirect uri": asked(redirect_uri=None),
    "prompt create": asked(prompt="create"),
    "prompt login": asked(prompt="login"),
    "prompt none": asked(prompt="none"),
    "no client": asked(client_id=None),
    "empty client": asked(client_id=""),
    "other client": asked(client_id="http://localhost"),
    "client with a path": asked(client_id="http://localhost/x"),
    "client at an address": asked(client_id="https://127.0.0.1/client-metadata.json"),
    "local client": asked(client_id="https://app.test/client-metadata.json"),
    "nonce": asked(nonce="x"),
    "claims": asked(claims="{}"),
    "response type token": asked(response_type="token"),
    "no response type": asked(response_type=None),
    "scope undeclared": asked(scope="atproto repo:*"),
    "scope missing": asked(scope=None),
    "scope without atproto": asked(scope="transition:generic"),
    "scope malformed": asked(scope='atproto "x"'),
    "redirect elsewhere": asked(redirect_uri="http://127.0.0.1/other"),
    "redirect to a script": asked(redirect_uri="javascript:alert(1)"),
    "redirect to localhost": asked(redirect_uri="http://localhost/cb"),
    "no challenge": asked(code_challenge=None, code_challenge_method=None),
    "method alone": asked(code_challenge=None),
    "plain challenge": asked(code_challenge_method="plain"),
    "challenge without method": asked(code_challenge_method=None),
    "hint": asked(login_hint="@alice"),
    "hint of another method": asked(login_hint="did:key:zabc"),
    "dpop_jkt": asked(dpop_jkt="0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
    "unneeded assertion": asked(client_assertion="x"),
    "request object": {"client_id": CLIENT_ID, "request": "e30.e30.e30"},
}

TOKENS: Final[dict[str, dict[str, str]]] = {
    "nothing": {},
    "no grant type": {"client_id": CLIENT_ID},
    "no proof": {
        "client_id": CLIENT_ID,
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": "http://127.0.0.1/cb",
        "code_verifier": "a" * 43,
    },
    "refresh without proof": {
        "client_id": CLIENT_ID,
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
    },
}

REQUESTS: Final[dict[str, tuple[str, str, dict[str, str], bytes]]] = {
    "par by GET": ("GET", "/oauth/par", {}, b""),
    "par by PUT": ("PUT", "/oauth/par", FORM, b""),
    "par preflight": ("OPTIONS", "/oauth/par", {}, b""),
    "par as text": ("POST", "/oauth/par", {"Content-Type": "text/plain"}, b"x"),
    "par of nothing": ("POST", "/oauth/par", {}, b""),
    "par of broken JSON": ("POST", "/oauth/par", JSON, b"{"),
    "par in JSON": ("POST", "/oauth/par", JSON, json.dumps(asked()).encode()),
    "par with a broken proof": (
        "POST",
        "/oauth/par",
        {**FORM, "DPoP": "x"},
        urlencode(asked()).encode(),
    ),
    "token by GET": ("GET", "/oauth/token", {}, b""),
    "token preflight": ("OPTIONS", "/oauth/token", {}, b""),
    "revoke by GET": ("GET", "/oauth/revoke", {}, b""),
    "revoke preflight": ("OPTIONS", "/oauth/revoke", {}, b""),
    "revoke of nothing": ("POST", "/oauth/revoke", FORM, b""),
    "introspection": ("POST", "/oauth/introspect", FORM, b""),
    "registration": ("POST", "/oauth/register", JSON, b"{}"),
    "authorize by POST": ("POST", "/oauth/authorize", FORM, b""),
}

BROUGHT: Final[dict[str, dict[str, str]]] = {
    "nonce": asked(nonce="x"),
    "response type token": asked(response_type="token"),
    "scope undeclared": asked(scope="atproto repo:*"),
    "scope without atproto": asked(scope="transition:generic"),
    "no challenge": asked(code_challenge=None, code_challenge_method=None),
    "plain challenge": asked(code_challenge_method="plain"),
    "prompt none": asked(prompt="none"),
    "hint": asked(login_hint="@alice"),
    "in the fragment": asked(login_hint="@alice", response_mode="fragment"),
    "no state": asked(login_hint="@alice", state=None),
}

OTHER_WORDS: Final = frozenset(
    (
        *("no client", "empty client", "client with a path", "client at an address"),
        *("no response type", "request object"),
        *("/oauth/token nothing", "/oauth/token no grant type"),
        *("/oauth/revoke nothing", "/oauth/revoke no grant type", "/oauth/revoke no proof"),
        *("/oauth/revoke refresh without proof", "revoke of nothing"),
        *("par of nothing", "par with a broken proof"),
    )
)
"""Cases whose description a library of the reference writes, or in which ours says more."""

_HEADERS: Final = (
    *("access-control-allow-origin", "access-control-allow-methods"),
    *("access-control-allow-headers", "access-control-max-age"),
    *("cache-control", "pragma"),
)


@dataclass(slots=True, frozen=True)
class Server:
    """One of both, and its data directory."""

    client: Client
    directory: Path

    def post(self, path: str, fields: dict[str, str]) -> Reply:
        return self.client.request("POST", path, headers=FORM, body=urlencode(fields).encode())

    def parameters(self) -> list[Any]:
        """The parameters of every request that is stored, in their order."""
        db = sqlite3.connect(self.directory / "account.sqlite")
        rows = db.execute("SELECT parameters FROM authorization_request ORDER BY rowid").fetchall()
        db.close()
        return [json.loads(row[0]) for row in rows]


@dataclass(slots=True, frozen=True)
class Servers:
    """Both servers, each on a new data directory."""

    holdfast: Server
    reference: Server


@pytest.fixture(scope="module")
def servers(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    home = tmp_path_factory.mktemp("servers")
    PlcStore(home / "plc.sqlite").close()
    started: list[ServerProcess] = []
    both: list[Server] = []
    with plc.directory_of(home / "plc.sqlite") as plc_url:
        try:
            for name, start in (("holdfast", serve), ("reference", reference.serve)):
                directory = home / name
                (directory / "blobs").mkdir(parents=True)
                env = data.environment(directory) | {"PDS_DID_PLC_URL": plc_url}
                log_file = directory.with_suffix(".log")
                started.append(start(env, port=free_port(), log_file=log_file))
                both.append(Server(Client(started[-1].url), directory))
            yield Servers(*both)
        finally:
            for server in started:
                server.stop()


def brief(reply: Reply) -> dict[str, Any]:
    """What has to be the same of two answers."""
    body = reply.json if isinstance(reply.json, dict) else {}
    headers = {name: reply.headers.get(name) for name in _HEADERS}
    return {
        "status": reply.status,
        "members": sorted(body),
        "error": body.get("error"),
        "description": body.get("error_description"),
        "nonce": "dpop-nonce" in reply.headers,
        "challenge": reply.headers.get("www-authenticate", "").partition("error_description")[0],
        **headers,
    }


def differences(ours: Reply, theirs: Reply) -> dict[str, tuple[Any, Any]]:
    """What is not the same: the reference's first."""
    holdfast, reference = brief(ours), brief(theirs)
    return {
        name: (reference[name], holdfast[name])
        for name in holdfast
        if reference[name] != holdfast[name]
    }


def assert_alike(case: str, ours: Reply, theirs: Reply) -> None:
    """Both are the same, except for the words of cases that are listed."""
    found = differences(ours, theirs)
    words = found.pop("description", None)
    assert found == {}
    assert (words is not None) == (case in OTHER_WORDS), words


@pytest.mark.parametrize("name", PUSHED)
def test_pushed_requests_are_taken_and_refused_alike(servers: Servers, name: str) -> None:
    ours = servers.holdfast.post("/oauth/par", PUSHED[name])
    assert_alike(name, ours, servers.reference.post("/oauth/par", PUSHED[name]))


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_tokens_are_refused_alike(servers: Servers, path: str, name: str) -> None:
    ours = servers.holdfast.post(path, TOKENS[name])
    assert_alike(f"{path} {name}", ours, servers.reference.post(path, TOKENS[name]))


@pytest.mark.parametrize("name", REQUESTS)
def test_other_requests_are_answered_alike(servers: Servers, name: str) -> None:
    method, path, headers, body = REQUESTS[name]
    ours, theirs = (
        one.client.request(method, path, headers=headers, body=body)
        for one in (servers.holdfast, servers.reference)
    )
    assert_alike(name, ours, theirs)


@pytest.mark.parametrize("name", BROUGHT)
def test_refusals_of_what_browsers_bring_go_to_the_client_alike(
    servers: Servers, name: str
) -> None:
    path = f"/oauth/authorize?{urlencode(BROUGHT[name])}"
    ours, theirs = (
        one.client.request("GET", path, headers=NAVIGATION)
        for one in (servers.holdfast, servers.reference)
    )
    assert (ours.status, theirs.status) == (303, 303)
    assert answer_in(ours, servers.holdfast) == answer_in(theirs, servers.reference)


def answer_in(reply: Reply, server: Server) -> tuple[str, set[tuple[str, str]]]:
    """Where a redirect goes, and what it says there."""
    place, _, said = reply.headers["location"].replace("#", "?#").partition("?")
    values = parse_qsl(said.removeprefix("#"))
    mode = "fragment" if said.startswith("#") else "query"
    return f"{place} {mode}", {(name, v.replace(server.client.url, "")) for name, v in values}


@pytest.mark.parametrize("changes", [{}, {"nonce": "x"}, {"scope": "atproto repo:*"}])
def test_holdfast_alone_sends_nobody_to_a_place_that_is_not_the_clients(
    servers: Servers, changes: dict[str, str]
) -> None:
    query = asked(redirect_uri="http://127.0.0.1:1/elsewhere", **changes)
    reply = servers.holdfast.client.request(
        "GET", f"/oauth/authorize?{urlencode(query)}", headers=NAVIGATION
    )
    assert reply.status == 400
    assert "location" not in reply.headers


def test_requests_are_stored_alike(servers: Servers) -> None:
    before = [one.parameters() for one in (servers.holdfast, servers.reference)]
    for fields in PUSHED.values():
        for server in (servers.holdfast, servers.reference):
            server.post("/oauth/par", fields)
    ours, theirs = (
        one.parameters()[len(known) :]
        for one, known in zip((servers.holdfast, servers.reference), before, strict=True)
    )
    assert ours == theirs
    assert len(ours) > 5


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/oauth/jwks",
    ],
)
def test_documents_say_the_same(servers: Servers, path: str) -> None:
    said = []
    for server in (servers.holdfast, servers.reference):
        reply = server.client.request("GET", path)
        text = reply.body.decode().replace(server.client.url, "https://pds")
        said.append((reply.status, json.loads(text), brief(reply)))
    assert said[0] == said[1]
