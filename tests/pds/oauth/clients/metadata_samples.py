"""Client metadata that keeps every rule, to be changed by tests."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

CLIENT_ID: Final = "https://app.bsky.app/oauth/client-metadata.json"
PRIVATE_KEY: Final = ec.generate_private_key(ec.SECP256R1())
KEY: Final[dict[str, Any]] = {
    **ECAlgorithm.to_jwk(PRIVATE_KEY.public_key(), as_dict=True),
    "kid": "key-1",
    "alg": "ES256",
    "use": "sig",
}
MISSING: Final = object()
"""The value of a member that `metadata` leaves out."""


def metadata(**changes: Any) -> dict[str, Any]:
    """The metadata of a public client on the web, with some members changed."""
    members = {
        "client_id": CLIENT_ID,
        "application_type": "web",
        "client_name": "App",
        "client_uri": "https://app.bsky.app",
        "redirect_uris": ["https://app.bsky.app/cb"],
        "scope": "atproto transition:generic",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
        **changes,
    }
    return {name: value for name, value in members.items() if value is not MISSING}


def confidential(**changes: Any) -> dict[str, Any]:
    """The metadata of a client with a key."""
    members = {
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [KEY]},
    }
    return metadata(**{**members, **changes})
