"""The documents by which clients find the authorization server and learn what it supports.

Spec: https://www.rfc-editor.org/rfc/rfc8414, https://www.rfc-editor.org/rfc/rfc9728,
https://atproto.com/specs/oauth
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from pds.jose.jwk import ALGORITHMS
from pds.xrpc.responses import add_common_headers

AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE_PATH: Final = "/oauth/revoke"
PAR_PATH: Final = "/oauth/par"
JWKS_PATH: Final = "/oauth/jwks"
_HEADERS: Final = {
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "Content-Type,DPoP",
    "Access-Control-Max-Age": "86400",
    "Cache-Control": "max-age=300",
}


def document_routes(issuer: str) -> Iterator[web.RouteDef]:
    """Yield the documents of a server that is its own authorization server, at `issuer`."""
    metadata = orjson.dumps(server_metadata(issuer))
    resource = orjson.dumps(resource_metadata(issuer, issuer))

    async def answer_metadata(_request: web.Request) -> web.Response:
        return _document(metadata, _HEADERS)

    async def answer_resource(_request: web.Request) -> web.Response:
        return _document(resource, {"Access-Control-Allow-Headers": "*"})

    async def answer_keys(_request: web.Request) -> web.Response:
        # Tokens are signed with a secret, which only this server verifies.
        return _document(b'{"keys":[]}', _HEADERS)

    yield web.get("/.well-known/oauth-authorization-server", answer_metadata)
    yield web.get("/.well-known/oauth-protected-resource", answer_resource)
    yield web.get(JWKS_PATH, answer_keys)


def resource_metadata(resource: str, authorization_server: str) -> dict[str, Any]:
    """Return the metadata of the protected resource: where its accounts log in."""
    return {
        "resource": resource,
        "authorization_servers": [authorization_server],
        "scopes_supported": [],
        "bearer_methods_supported": ["header"],
        "resource_documentation": "https://atproto.com",
    }


def server_metadata(issuer: str) -> dict[str, Any]:
    """Return the metadata of the authorization server."""
    algorithms = list(ALGORITHMS)
    return {
        "issuer": issuer,
        "scopes_supported": [
            "atproto",
            "transition:email",
            "transition:generic",
            "transition:chat.bsky",
        ],
        "subject_types_supported": ["public"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "ui_locales_supported": ["en-US"],
        "display_values_supported": ["page", "popup", "touch"],
        "prompt_values_supported": ["none", "login", "consent", "select_account", "create"],
        "request_object_signing_alg_values_supported": [*algorithms, "none"],
        "authorization_response_iss_parameter_supported": True,
        "request_object_encryption_alg_values_supported": [],
        "request_object_encryption_enc_values_supported": [],
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "jwks_uri": issuer + JWKS_PATH,
        "authorization_endpoint": issuer + AUTHORIZE_PATH,
        "token_endpoint": issuer + TOKEN_PATH,
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": issuer + REVOKE_PATH,
        "pushed_authorization_request_endpoint": issuer + PAR_PATH,
        "require_pushed_authorization_requests": True,
        "dpop_signing_alg_values_supported": algorithms,
        "protected_resources": [issuer],
        "client_id_metadata_document_supported": True,
    }


def _document(body: bytes, headers: Mapping[str, str]) -> web.Response:
    response = web.Response(body=body, content_type="application/json", headers=headers)
    add_common_headers(response.headers, private=False)
    return response
