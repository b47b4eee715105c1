"""OAuth sessions on a service database in `tmp_path`."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from jwt.utils import base64url_encode

from database.change_watch import ChangeWatch
from database.connection import Database
from database.timestamps import iso_of
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.schema import open_account_database
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.replay.sqlite import SqliteReplays
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.account_sessions import AccountSessions
from pds.oauth.tokens.grants import CodeGrant, TokenClient, TokenResponse
from pds.oauth.tokens.tokens import OAuthTokens
from repo.syntax import Did
from tests.pds.accounts.conftest import START_S, FakeClock

ALICE = Did("did:plc:aliceaaaaaaaaaaaaaaaaaaa")
BOB = Did("did:plc:bobbbbbbbbbbbbbbbbbbbbbb")
ISSUER = "https://pds.example.com"
SERVICE_DID = "did:web:pds.example.com"
JWT_SECRET = "jwt-secret"
CLIENT_ID = "https://app.example.com/client-metadata.json"
REDIRECT_URI = "https://app.example.com/callback"
JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
OTHER_JKT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
DEVICE = "dev-0123456789abcdef0123456789abcdef"
BOTH = frozenset({"authorization_code", "refresh_token"})
PUBLIC = TokenClient(CLIENT_ID, "none", BOTH, has_long_sessions=False)
CONFIDENTIAL = TokenClient(CLIENT_ID, "private_key_jwt", BOTH, has_long_sessions=True)
NO_AUTH = ClientAuth("none")
KEY_AUTH = ClientAuth("private_key_jwt", "ES256", "key-1", "thumb", "jti-1", int(START_S) + 60)


def expanded(scope: str) -> str:
    return scope.replace("include:com.example.set", "repo:com.example.post")


async def expand(scope: str) -> str:
    """What stands for permission sets in these tests."""
    return expanded(scope)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_account_database(tmp_path / "account.sqlite")
    for did, handle in ((ALICE, "alice.test"), (BOB, "bob.test")):
        db.run(
            "INSERT INTO actor (did, handle, createdAt) VALUES (?, ?, ?)",
            (did, handle, iso_of(START_S)),
        )
    AccessCutoffs(db, ChangeWatch(db), clock=time.time)
    yield db
    db.close()


@pytest.fixture
def tokens(db: Database, replays: SqliteReplays, clock: FakeClock) -> OAuthTokens:
    return OAuthTokens(
        db,
        replays,
        jwt_secret=JWT_SECRET,
        service_did=SERVICE_DID,
        issuer=ISSUER,
        expand_scope=expand,
        clock=clock,
    )


@pytest.fixture
def sessions(db: Database, clock: FakeClock) -> AccountSessions:
    return AccountSessions(db, clock=clock)


@dataclass
class SignIn:
    """An authorized request, and what its client brings to the token endpoint."""

    client: TokenClient = PUBLIC
    auth: ClientAuth = NO_AUTH
    did: Did = ALICE
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    cutoff_s: int = 0
    code: str = field(default_factory=lambda: f"cod-{secrets.token_hex(32)}")
    parameters: dict[str, Any] = field(default_factory=dict)
    """What differs from the usual ones."""

    @property
    def grant(self) -> CodeGrant:
        challenge = hashlib.sha256(self.verifier.encode()).digest()
        usual = {
            "client_id": self.client.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "atproto transition:generic",
            "state": "state",
            "code_challenge": base64url_encode(challenge).decode(),
            "code_challenge_method": "S256",
        }
        given = {**usual, **self.parameters}
        return CodeGrant(
            code=self.code,
            did=self.did,
            device_id=DEVICE,
            client_id=self.client.client_id,
            client_auth=self.auth,
            parameters=AuthorizationParameters({k: v for k, v in given.items() if v is not None}),
            cutoff_s=self.cutoff_s,
        )

    async def issue(self, tokens: OAuthTokens, **differing: Any) -> TokenResponse:
        """Ask for tokens with what belongs to the request, and with whatever differs."""
        grant = replace(self.grant, **differing.pop("grant", {}))
        client, auth = differing.pop("client", self.client), differing.pop("auth", self.auth)
        usual = {"redirect_uri": REDIRECT_URI, "code_verifier": self.verifier, "jkt": JKT}
        return await tokens.issue(client, auth, grant, **{**usual, **differing})


@pytest.fixture
async def session(tokens: OAuthTokens) -> TokenResponse:
    """The first tokens of a public client."""
    return await SignIn().issue(tokens)
