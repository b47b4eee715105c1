"""An OAuth client of the tests: it makes its own proofs, challenges and requests."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import Any, Literal
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.pds.conftest import Pds, Reply

REDIRECT_URI = "http://127.0.0.1/callback"


class App:
    """A loopback client, unless it is given another id."""

    def __init__(
        self,
        pds: Pds,
        scope: str = "atproto transition:generic",
        client_id: str | None = None,
        redirect_uri: str = REDIRECT_URI,
    ) -> None:
        self.pds = pds
        self.scope = scope
        self.redirect_uri = redirect_uri
        self.client_id = client_id or "http://localhost?" + urlencode(
            {"scope": scope, "redirect_uri": redirect_uri}
        )
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.verifier = secrets.token_urlsafe(48)
        self.nonce = ""
        self.tokens: dict[str, Any] = {}

    @property
    def issuer(self) -> str:
        return self.pds.ctx.settings.public_url

    def proof(self, method: str, url: str, access_token: str | None = None, **claims: Any) -> str:
        """A DPoP proof for one request; `claims` replace or, as None, remove some."""
        jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        every: dict[str, Any] = {
            "jti": secrets.token_hex(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "nonce": self.nonce or None,
            "ath": None if access_token is None else s256(access_token),
            **claims,
        }
        kept = {name: value for name, value in every.items() if value is not None}
        return jwt.encode(kept, self.key, "ES256", headers={"typ": "dpop+jwt", "jwk": jwk})

    async def endpoint(
        self,
        path: Literal["par", "token", "revoke"],
        fields: dict[str, str],
        *,
        encoding: Literal["data", "json"] = "data",
    ) -> Reply:
        """Ask an endpoint, with a nonce once the server has told one."""
        headers = {"DPoP": self.proof("POST", f"{self.issuer}/oauth/{path}")}
        body = {"client_id": self.client_id, **fields}
        reply = await self.pds.request(
            "POST", f"/oauth/{path}", headers=headers, **{encoding: body}
        )
        self.nonce = reply.headers["DPoP-Nonce"]
        if reply.json.get("error") == "use_dpop_nonce":
            return await self.endpoint(path, fields, encoding=encoding)
        return reply

    async def push(self, **parameters: str) -> dict[str, str]:
        """Push a request; return the query with which the browser brings it."""
        reply = await self.endpoint("par", {**self.parameters, **parameters})
        assert reply.status == 201, reply.body
        return {"client_id": self.client_id, "request_uri": reply.json["request_uri"]}

    @property
    def parameters(self) -> dict[str, str]:
        """Those of an authorization request."""
        return {
            "response_type": "code",
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": "state-1",
            "code_challenge": s256(self.verifier),
            "code_challenge_method": "S256",
        }

    async def redeem(self, code: str, **fields: str) -> Reply:
        """Exchange a code for tokens."""
        reply = await self.endpoint(
            "token",
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": self.redirect_uri,
                "code_verifier": self.verifier,
                **fields,
            },
        )
        if reply.status == 200:
            self.tokens = reply.json
        return reply

    async def refresh(self, token: str | None = None) -> Reply:
        """Exchange a refresh token for new tokens."""
        token = token or self.tokens["refresh_token"]
        reply = await self.endpoint(
            "token", {"grant_type": "refresh_token", "refresh_token": token}
        )
        if reply.status == 200:
            self.tokens = reply.json
        return reply

    async def call(self, method: str, nsid: str, *, token: str | None = None, **more: Any) -> Reply:
        """Call an XRPC method with the access token."""
        token = token or self.tokens["access_token"]
        proof = self.proof(method, f"{self.issuer}/xrpc/{nsid}", token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        reply = await self.pds.request(method, f"/xrpc/{nsid}", headers=headers, **more)
        self.nonce = reply.headers.get("DPoP-Nonce", self.nonce)
        if "use_dpop_nonce" in reply.headers.get("WWW-Authenticate", ""):
            return await self.call(method, nsid, token=token, **more)
        return reply


def s256(text: str) -> str:
    """The base64url SHA-256 of a text."""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
