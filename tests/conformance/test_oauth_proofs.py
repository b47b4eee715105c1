"""Wrong proofs, tokens and assertions: both servers refuse them with the same errors and words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.conformance.client import Client, Reply
from tests.pds.oauth.client_keys import ClientKey
from tests.processes import free_port, serve
from tests.reference import data
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

KEY = ClientKey.new()
TOKEN_PATH: Final = "/oauth/token"
GET_SESSION: Final = "/xrpc/com.atproto.server.getSession"
GRANT: Final = {
    "grant_type": "refresh_token",
    "client_id": "http://localhost",
    "refresh_token": f"ref-{'0' * 64}",
}
FAILED: Final = "Failed to verify DPoP proof"


@dataclass
class Server:
    """One of the two, and the nonce that it gave out."""

    url: str
    nonce: str = ""

    def proof(self, method: str = "POST", path: str = TOKEN_PATH, **differing: Any) -> str:
        usual = {"nonce": self.nonce, "now_s": time.time()}
        return KEY.proof(method, self.url + path, **{**usual, **differing})

    def token(self, proof: str | None, grant: object = GRANT) -> Reply:
        headers = {"Content-Type": "application/json"} | ({} if proof is None else {"DPoP": proof})
        return self._keep(
            Client(self.url).request(
                "POST", TOKEN_PATH, headers=headers, body=json.dumps(grant).encode()
            )
        )

    def get_session(self, authorization: str, proof: str | None) -> Reply:
        headers = {"Authorization": authorization} | ({} if proof is None else {"DPoP": proof})
        return self._keep(Client(self.url).request("GET", GET_SESSION, headers=headers))

    def _keep(self, reply: Reply) -> Reply:
        self.nonce = reply.headers.get("dpop-nonce", self.nonce)
        return reply


@pytest.fixture(scope="module")
def both(
    reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server]]:
    """Ours and the reference, each on a directory of its own, with a nonce."""
    home = tmp_path_factory.mktemp("proofs")
    with ExitStack() as stack:
        servers = []
        for name, start in (("ours", serve), ("reference", reference.serve)):
            port = free_port()
            environment = data.environment(data.unpack(home / name))
            process = start(environment, port=port, log_file=home / f"{name}.log")
            stack.callback(process.kill)
            servers.append(Server(f"http://localhost:{port}"))
        for server in servers:
            server.token(server.proof(nonce=None))
            assert server.nonce
        yield servers[0], servers[1]


Ask = Callable[[Server], Reply]


def replayed(server: Server) -> Reply:
    proof = server.proof()
    server.token(proof)
    return server.token(proof)


def with_token(token: str, **differing: Any) -> Ask:
    def ask(server: Server) -> Reply:
        told = {"access_token": token, **differing}
        return server.get_session(f"DPoP {token}", server.proof("GET", GET_SESSION, **told))

    return ask


def now() -> int:
    return int(time.time())


PROOFS: dict[str, Callable[[Server], str | None]] = {
    "good": lambda server: server.proof(),
    "none": lambda server: None,
    "empty": lambda server: "",
    "no JWT": lambda server: "x",
    "no nonce": lambda server: server.proof(nonce=None),
    "empty nonce": lambda server: server.proof(nonce=""),
    "other nonce": lambda server: server.proof(nonce="x"),
    "nonce that is a number": lambda server: server.proof(nonce=5),
    "no id": lambda server: server.proof(jti=None),
    "empty id": lambda server: server.proof(jti=""),
    "other method": lambda server: server.proof("GET"),
    "method in small letters": lambda server: server.proof("post"),
    "other path": lambda server: server.proof(path="/oauth/par"),
    "query": lambda server: server.proof(path=f"{TOKEN_PATH}?a=b#c"),
    "URL in capitals": lambda server: server.proof(htu=server.url.upper() + TOKEN_PATH),
    "path with dots": lambda server: server.proof(path="/x/../oauth/token"),
    "path with escapes": lambda server: server.proof(path="/oauth/t%6Fken%20"),
    "no URL": lambda server: server.proof(htu="x"),
    "credentials": lambda server: server.proof(htu=server.url.replace("//", "//u:p@")),
    "another scheme": lambda server: server.proof(htu="ftp://localhost/oauth/token"),
    "URL that is a number": lambda server: server.proof(htu=5),
    "token hash": lambda server: server.proof(ath="x"),
    "old": lambda server: server.proof(iat=now() - 195),
    "nearly old": lambda server: server.proof(iat=now() - 180),
    "ahead": lambda server: server.proof(iat=now() + 170),
    "far ahead": lambda server: server.proof(iat=now() + 190),
    "no time": lambda server: server.proof(iat=None),
    "expired": lambda server: server.proof(exp=now() - 190),
    "just expired": lambda server: server.proof(exp=now() - 100),
    "not valid yet": lambda server: server.proof(nbf=now() + 190),
    "type in capitals": lambda server: server.proof(header={"typ": "DPoP+JWT"}),
    "full media type": lambda server: server.proof(header={"typ": "application/dpop+jwt"}),
    "other type": lambda server: server.proof(header={"typ": "JWT"}),
    "other key": lambda server: server.proof(header={"jwk": ClientKey.new().jwk}),
    "no key": lambda server: server.proof(header={"jwk": None}),
    "private key": lambda server: server.proof(header={"jwk": {**KEY.jwk, "d": KEY.jwk["x"]}}),
    "key with members": lambda server: server.proof(
        header={"jwk": {**KEY.jwk, "alg": "ES256", "ext": True, "key_ops": ["verify"], "kid": "1"}}
    ),
    "key off the curve": lambda server: server.proof(
        header={"jwk": {**KEY.jwk, "y": KEY.jwk["x"]}}
    ),
}
TOKENS: dict[str, Ask] = {
    "no JWT": with_token("x"),
    "JWT of nobody": with_token("eyJhbGciOiJub25lIn0.e30."),
    "of another secret": with_token(
        "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.e30.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    ),
    "without a proof": lambda server: server.get_session("DPoP x", None),
    "of another token": with_token("x", access_token="y"),
    "without its hash": with_token("x", access_token=None),
    "without a nonce": with_token("x", nonce=None),
    "other URL": with_token("x", htu="http://localhost/"),
}


def told(reply: Reply) -> tuple[int, dict[str, Any], str | None]:
    """Status, body and challenge; without the reasons, which are a library's own words."""
    body = dict(reply.json)
    challenge = reply.headers.get("www-authenticate")
    for name in ("error_description", "message"):
        if str(body.get(name)).startswith(FAILED):
            body[name] = FAILED
            challenge = str(challenge).partition(", error_description")[0]
    return reply.status, body, challenge


@pytest.mark.parametrize("make", PROOFS.values(), ids=PROOFS)
def test_proofs_at_the_token_endpoint(
    both: tuple[Server, Server], make: Callable[[Server], str | None]
) -> None:
    ours, theirs = (told(server.token(make(server))) for server in both)
    assert ours == theirs


def test_replayed_proofs(both: tuple[Server, Server]) -> None:
    ours, theirs = (told(replayed(server)) for server in both)
    assert ours == theirs
    assert ours[1]["error_description"] == "DPoP proof replayed"


@pytest.mark.parametrize("ask", TOKENS.values(), ids=TOKENS)
def test_tokens_at_a_resource(both: tuple[Server, Server], ask: Ask) -> None:
    ours, theirs = (told(ask(server)) for server in both)
    assert ours == theirs
