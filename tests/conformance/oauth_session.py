"""An OAuth session that is put straight into a server's database, in the reference's form."""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt

from pds.jose.jwk import Jwk
from tests.conformance.client import Client, Reply
from tests.pds.oauth.client_keys import ClientKey

_CLIENT_ID = "http://localhost"
_INSERT = """
INSERT INTO token (tokenId, did, createdAt, updatedAt, expiresAt, clientId, clientAuth, parameters,
                   currentRefreshToken, scope)
VALUES (?, ?, ?, ?, ?, ?, '{"method":"none"}', ?, ?, ?)
"""


@dataclass
class OAuthSession:
    """A client of one server, with a key of its own, for an account."""

    client: Client
    database: Path
    """The server's `account.sqlite`."""
    jwt_secret: str
    service_did: str
    did: str
    key: ClientKey = field(default_factory=ClientKey.new)
    nonce: str | None = None
    token: str = ""

    def grant(self, scope: str) -> None:
        """Begin a session with these scopes."""
        token_id, now_s = f"tok-{secrets.token_hex(16)}", int(time.time())
        jkt = Jwk.parse(self.key.jwk).thumbprint()
        parameters = {"client_id": _CLIENT_ID, "scope": scope, "dpop_jkt": jkt}
        values = (token_id, self.did, _iso(now_s), _iso(now_s), _iso(now_s + 3600), _CLIENT_ID)
        with sqlite3.connect(self.database, timeout=10) as db:
            refresh = f"ref-{secrets.token_hex(32)}"
            db.execute(_INSERT, (*values, json.dumps(parameters), refresh, scope))
        db.close()
        claims = {
            "jti": token_id,
            "sub": self.did,
            "iat": now_s,
            "exp": now_s + 3600,
            "aud": self.service_did,
            "cnf": {"jkt": jkt},
            "client_id": _CLIENT_ID,
            "iss": self.client.url,
        }
        self.token = jwt.encode(claims, self.jwt_secret, "HS256", headers={"typ": "at+jwt"})

    def request(
        self,
        method: str,
        nsid: str,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        **claims: Any,
    ) -> Reply:
        """Send a request with a proof, and the last nonce; `claims` change the proof."""
        path = f"/xrpc/{nsid}"
        query = f"?{urlencode(params)}" if params else ""
        proof = self.key.proof(
            method,
            self.client.url + path,
            now_s=time.time(),
            access_token=self.token,
            **{"nonce": self.nonce, **claims},
        )
        own = {"Authorization": f"DPoP {self.token}", "DPoP": proof, **(headers or {})}
        reply = self.client.request(method, path + query, headers=own, body=body)
        self.nonce = reply.headers.get("dpop-nonce")
        return reply


def _iso(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
