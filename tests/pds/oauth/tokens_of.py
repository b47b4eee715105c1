"""OAuth sessions without the pages of sign-in: tokens, and requests with their proofs."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jwt.utils import base64url_encode

from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.grants import CodeGrant, TokenClient
from repo.syntax import Did
from tests.pds.conftest import Pds, Reply
from tests.pds.oauth.client_keys import ClientKey

CLIENT: Final = TokenClient(
    "http://localhost", "none", frozenset({"authorization_code", "refresh_token"}), False
)
REDIRECT_URI: Final = "http://127.0.0.1/"


@dataclass
class OAuthCaller:
    """A client with an access token of an account."""

    pds: Pds
    key: ClientKey
    access_token: str
    refresh_token: str

    def headers(
        self, method: str, path: str, *, nonce: str | None = "", **claims: Any
    ) -> dict[str, str]:
        """The headers of one request; by default with a nonce that is accepted."""
        access = self.pds.ctx.oauth_access
        proof = self.key.proof(
            method,
            access.url + path.partition("?")[0],
            nonce=access.proofs.next_nonce() if nonce == "" else nonce,
            now_s=time.time(),
            access_token=self.access_token,
            **claims,
        )
        return {"Authorization": f"DPoP {self.access_token}", "DPoP": proof}

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Reply:
        """Send any request."""
        own = self.headers(method, path)
        return await self.pds.request(method, path, headers={**own, **(headers or {})}, **more)

    async def get(
        self, nsid: str, headers: Mapping[str, str] | None = None, **params: Any
    ) -> Reply:
        """Call a query."""
        return await self.request("GET", f"/xrpc/{nsid}", headers=headers, params=params)

    async def post(
        self, nsid: str, json: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Call a procedure with a JSON body, or with none."""
        return await self.request("POST", f"/xrpc/{nsid}", headers=headers, json=json)


async def sign_in(pds: Pds, did: str, scope: str) -> OAuthCaller:
    """Begin an OAuth session of an account with some scopes, as if its owner had agreed."""
    oauth, key = pds.ctx.oauth, ClientKey.new()
    assert oauth is not None
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    parameters = {
        "client_id": CLIENT.client_id,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": scope,
        "code_challenge": base64url_encode(digest).decode(),
        "code_challenge_method": "S256",
    }
    grant = CodeGrant(
        f"cod-{secrets.token_hex(32)}",
        Did(did),
        None,
        CLIENT.client_id,
        ClientAuth("none"),
        AuthorizationParameters(parameters),
        pds.ctx.accounts.access_cutoffs.find(did),
    )
    answer = await oauth.tokens.issue(
        CLIENT,
        ClientAuth("none"),
        grant,
        redirect_uri=REDIRECT_URI,
        code_verifier=verifier,
        jkt=thumbprint(key),
    )
    assert answer.refresh_token is not None
    return OAuthCaller(pds, key, answer.access_token, answer.refresh_token)


def thumbprint(key: ClientKey) -> str:
    """The thumbprint of a key, to which tokens are bound."""
    jwk = key.jwk
    text = "{" + ",".join(f'"{name}":"{jwk[name]}"' for name in ("crv", "kty", "x", "y")) + "}"
    return base64url_encode(hashlib.sha256(text.encode()).digest()).decode()
