"""Clients and requests that keep every rule, to be changed by tests."""

from __future__ import annotations

from typing import Any, Final

from pds.jose.jwks import Jwks
from pds.oauth.clients.client import Client
from pds.oauth.clients.metadata import ClientMetadata
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.requests.payload import read_parameters
from tests.pds.oauth.clients.metadata_samples import CLIENT_ID, MISSING, confidential, metadata

REDIRECT_URI: Final = "https://app.bsky.app/cb"
CHALLENGE: Final = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
SCOPE: Final = "atproto transition:generic"


def payload(**changes: Any) -> dict[str, Any]:
    """What a client sends, with some parameters changed."""
    members = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPE,
        "state": "xyz",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not MISSING}


def parameters(**changes: Any) -> AuthorizationParameters:
    """The same, read."""
    return read_parameters(payload(**changes), problem="")


def public_client(*, is_trusted: bool = False, **changes: Any) -> Client:
    """A client without a key."""
    return Client(CLIENT_ID, ClientMetadata.parse(metadata(**changes)), is_trusted=is_trusted)


def confidential_client(**changes: Any) -> Client:
    """A client with a key."""
    described = ClientMetadata.parse(confidential(**changes))
    return Client(CLIENT_ID, described, described.jwks or Jwks(()))
