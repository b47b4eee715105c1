"""What the token endpoint checks: that the client is the one that asked, and made the request."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from jwt.utils import base64url_encode

from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import InvalidGrant
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.grants import TokenClient

VERIFIER_LENGTHS: Final = range(43, 128 + 1)
"""In characters (RFC 7636)."""

_URL_SAFE: Final = str.maketrans("+/", "-_")


def check_client(
    client: TokenClient,
    auth: ClientAuth,
    jkt: str | None,
    *,
    client_id: str,
    client_auth: ClientAuth | None,
    parameters: AuthorizationParameters,
) -> None:
    """Check that a client may use what was given to `client_id`, authenticated by `client_auth`.

    `auth` and `jkt` are those of the request. A client may become confidential, never the reverse,
    and it may not change its key during a session. Raises `InvalidGrant`.
    """
    if auth.method != client.auth_method:
        raise InvalidGrant(
            f"Client authentication method mismatch (expected {client.auth_method},"
            f" got {auth.method})"
        )
    if client_id != client.client_id:
        raise InvalidGrant("Token was not issued to this client")
    if parameters.dpop_jkt is not None:
        if jkt is None:
            raise InvalidGrant("DPoP proof is required for this request")
        if jkt != parameters.dpop_jkt:
            raise InvalidGrant("DPoP proof does not match the expected JKT")
    if client_auth is None or client_auth.method == "none":
        return
    if auth.method != client_auth.method:
        raise InvalidGrant(f"Client authentication method mismatch (expected {client_auth.method})")
    if (auth.kid, auth.alg, auth.jkt) != (client_auth.kid, client_auth.alg, client_auth.jkt):
        raise InvalidGrant(
            "The session was initiated with a different key than the client assertion"
            " currently used"
        )


def check_code_grant(
    parameters: AuthorizationParameters, *, redirect_uri: str | None, code_verifier: str | None
) -> str:
    """Check that whoever brings a code began its request (PKCE); return the code challenge.

    Raises `InvalidGrant`.
    """
    if redirect_uri != parameters.redirect_uri:
        raise InvalidGrant(
            "The redirect_uri parameter must match the one used in the authorization request"
        )
    challenge = parameters.code_challenge
    if challenge is None or parameters.json.get("code_challenge_method") != "S256":
        raise InvalidGrant("Use of PKCE is required")
    if code_verifier is None:
        raise InvalidGrant("code_verifier is required")
    if len(code_verifier) < VERIFIER_LENGTHS.start:
        raise InvalidGrant("code_verifier too short")
    if len(code_verifier) not in VERIFIER_LENGTHS:
        raise InvalidGrant("code_verifier too long")
    computed = base64url_encode(hashlib.sha256(code_verifier.encode(errors="replace")).digest())
    expected = challenge.translate(_URL_SAFE).rstrip("=").encode(errors="replace")
    if not hmac.compare_digest(computed, expected):
        raise InvalidGrant("Invalid code_verifier")
    return challenge
