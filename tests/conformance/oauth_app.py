"""An app and a browser that speak to either server over HTTP, with the pages of each."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from multidict import CIMultiDict, CIMultiDictProxy

from tests.pds.conftest import Reply
from tests.pds.web.browser import NAVIGATION, Page

REDIRECT_URI: Final = "http://127.0.0.1/callback"
_API: Final = "/@atproto/oauth-provider/~api"
_TIMEOUT_S: Final = 30


def _send(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Reply:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)) as wire:
        wire.request(method, path, body=body or None, headers=headers)
        response = wire.getresponse()
        content = response.read()
    named = CIMultiDictProxy(CIMultiDict(response.headers.items()))
    is_json = named.get("Content-Type", "").startswith("application/json")
    return Reply(response.status, named, content, json.loads(content) if is_json else None)


@dataclass
class App:
    """A client in development, with a key of its own."""

    url: str
    """Of the server, whichever runs there."""
    scope: str = "atproto transition:generic"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    nonce: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def client_id(self) -> str:
        return "http://localhost?" + urlencode({"scope": self.scope, "redirect_uri": REDIRECT_URI})

    def push(self) -> dict[str, str]:
        """Push a request; return the query with which the browser brings it."""
        reply = self._post(
            "par",
            response_type="code",
            redirect_uri=REDIRECT_URI,
            scope=self.scope,
            state="xyz",
            code_challenge=_s256(self.verifier),
            code_challenge_method="S256",
        )
        assert reply.status == 201, reply.body
        return {"client_id": self.client_id, "request_uri": reply.json["request_uri"]}

    def redeem(self, code: str) -> Reply:
        """Exchange a code for tokens."""
        return self._take_tokens(
            self._post(
                "token",
                grant_type="authorization_code",
                code=code,
                redirect_uri=REDIRECT_URI,
                code_verifier=self.verifier,
            )
        )

    def refresh(self, token: str | None = None) -> Reply:
        """Exchange a refresh token for new tokens."""
        return self._take_tokens(
            self._post(
                "token",
                grant_type="refresh_token",
                refresh_token=token or self.tokens["refresh_token"],
            )
        )

    def call(self, method: str, nsid: str, body: object = None) -> Reply:
        """Call an XRPC method with the access token."""
        path = f"/xrpc/{nsid}"
        sent = b"" if body is None else json.dumps(body).encode()
        typed = {"Content-Type": "application/json"} if sent else {}
        reply = self._call_once(method, path, typed, sent)
        if "use_dpop_nonce" in reply.headers.get("WWW-Authenticate", ""):
            reply = self._call_once(method, path, typed, sent)
        return reply

    def _call_once(self, method: str, path: str, headers: dict[str, str], sent: bytes) -> Reply:
        token = self.tokens["access_token"]
        proof = self._proof(method, path, ath=_s256(token))
        authorized = {**headers, "Authorization": f"DPoP {token}", "DPoP": proof}
        reply = _send(self.url, method, path, authorized, sent)
        self.nonce = reply.headers.get("DPoP-Nonce", self.nonce)
        return reply

    def _take_tokens(self, reply: Reply) -> Reply:
        if reply.status == 200:
            self.tokens = reply.json
        return reply

    def _post(self, endpoint: str, **fields: str) -> Reply:
        path = f"/oauth/{endpoint}"
        body = urlencode({"client_id": self.client_id, **fields}).encode()
        reply = self._post_once(path, body)
        if reply.json.get("error") == "use_dpop_nonce":
            reply = self._post_once(path, body)
        return reply

    def _post_once(self, path: str, body: bytes) -> Reply:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "DPoP": self._proof("POST", path),
        }
        reply = _send(self.url, "POST", path, headers, body)
        self.nonce = reply.headers["DPoP-Nonce"]
        return reply

    def _proof(self, method: str, path: str, **claims: str) -> str:
        jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        every: dict[str, Any] = {
            "jti": secrets.token_hex(16),
            "htm": method,
            "htu": self.url + path,
            "iat": int(time.time()),
            **claims,
        }
        if self.nonce is not None:
            every["nonce"] = self.nonce
        return jwt.encode(every, self.key, "ES256", headers={"typ": "dpop+jwt", "jwk": jwk})


@dataclass
class Browser:
    """A browser with cookies, which knows the pages of Holdfast and the calls of the other's."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)

    def open(self, query: dict[str, str]) -> Page:
        """Open the page that asks the person."""
        return Page(self._go("GET", f"/oauth/authorize?{urlencode(query)}", NAVIGATION))

    def send(self, page: Page, action: str, **values: str) -> Page:
        """Fill in a form of Holdfast's and send it."""
        form = page.form(action)
        headers = {
            **NAVIGATION,
            "Sec-Fetch-Site": "same-origin",
            "Origin": self.url,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        body = urlencode(form.filled(**values)).encode()
        return Page(self._go("POST", form.action, headers, body))

    def ask(self, endpoint: str, query: dict[str, str], **body: object) -> Any:
        """Call what the reference's page calls, as if from that page."""
        headers = {
            "Sec-Fetch-Mode": "same-origin",
            "Sec-Fetch-Site": "same-origin",
            "Origin": self.url,
            "Referer": f"{self.url}/oauth/authorize?{urlencode(query)}",
            "X-CSRF-Token": self.cookies["csrf-token"],
            "Content-Type": "application/json",
            "User-Agent": NAVIGATION["User-Agent"],
        }
        reply = self._go("POST", _API + endpoint, headers, json.dumps(body).encode())
        assert reply.status == 200, reply.body
        return reply.json

    def _go(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Reply:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = _send(
            self.url, method, path, headers | ({"Cookie": cookie} if cookie else {}), body
        )
        for line in reply.headers.getall("Set-Cookie", ()):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return reply


def code_in(url: str) -> str:
    """The code in a URL that leads back to the client."""
    return parse_qs(urlsplit(url).query)["code"][0]


def _s256(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
