"""The rules of a client's metadata that go beyond single members.

Spec: https://atproto.com/specs/oauth#client-id-metadata-document
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from pds.oauth.clients.client_id import DiscoverableClientId, LoopbackClientId
from pds.oauth.clients.metadata import ClientMetadata
from pds.oauth.clients.redirect_uris import check_redirect_uris
from pds.oauth.clients.uris import Uri, is_local
from pds.oauth.errors import InvalidClientMetadata
from pds.oauth.scopes.scope import ATPROTO

GRANT_TYPES: Final = ("authorization_code", "refresh_token")

_OPENID_MEMBERS: Final = (
    "default_max_age",
    "userinfo_signed_response_alg",
    "id_token_signed_response_alg",
    "userinfo_encrypted_response_alg",
)


def check_metadata(
    client_id: LoopbackClientId | DiscoverableClientId, metadata: ClientMetadata
) -> None:
    """Check metadata as a whole. Raises `InvalidClientMetadata` or `InvalidRedirectUri`."""
    problem = (
        _unsupported(metadata)
        or _scope_problem(metadata)
        or _grant_problem(metadata)
        or _identity_problem(client_id, metadata)
        or _authentication_problem(metadata)
        or _protocol_problem(metadata)
    )
    if problem is not None:
        raise InvalidClientMetadata(problem)
    check_redirect_uris(client_id, metadata)
    if isinstance(client_id, DiscoverableClientId):
        problem = _client_uri_problem(client_id.url, metadata.client_uri)
        if problem is not None:
            raise InvalidClientMetadata(problem)


def _unsupported(metadata: ClientMetadata) -> str | None:
    if metadata.jwks is not None and metadata.jwks_uri is not None:
        return "jwks_uri and jwks are mutually exclusive"
    for member in _OPENID_MEMBERS:
        if getattr(metadata, member) is not None:
            return f'Unsupported "{member}" parameter'
    if metadata.client_uri is not None and is_local(Uri.parse(metadata.client_uri).host):
        return "client_uri hostname is invalid"
    return None


def _scope_problem(metadata: ClientMetadata) -> str | None:
    if not metadata.scopes:
        return "Missing scope property"
    if ATPROTO not in metadata.scopes:
        return 'Missing "atproto" scope'
    twice = _repeated(metadata.scopes)
    return None if twice is None else f'Duplicate scope "{twice}"'


def _grant_problem(metadata: ClientMetadata) -> str | None:
    twice = _repeated(metadata.grant_types)
    if twice is not None:
        return f'Duplicate grant type "{twice}"'
    for grant_type in metadata.grant_types:
        if grant_type == "implicit":
            return f'Grant type "{grant_type}" is not allowed'
        if grant_type not in GRANT_TYPES:
            return f'Grant type "{grant_type}" is not supported'
    return None


def _identity_problem(
    client_id: LoopbackClientId | DiscoverableClientId, metadata: ClientMetadata
) -> str | None:
    if metadata.client_id is None:
        return "client_id is required for discoverable clients"
    if metadata.client_id != client_id.text:
        return "client_id does not match"
    if metadata.subject_type != "public":
        return 'Only "public" subject_type is supported'
    return None


def _authentication_problem(metadata: ClientMetadata) -> str | None:
    method = metadata.token_endpoint_auth_method
    has_alg = bool(metadata.token_endpoint_auth_signing_alg)
    if method == "none":
        return (
            'token_endpoint_auth_method "none" must not have token_endpoint_auth_signing_alg'
            if has_alg
            else None
        )
    if method != "private_key_jwt":
        return (
            f'Unsupported client authentication method "{method}". Make sure '
            '"token_endpoint_auth_method" is set to one of: "none", "private_key_jwt"'
        )
    if metadata.jwks is None and metadata.jwks_uri is None:
        return "private_key_jwt auth method requires jwks or jwks_uri"
    # An assertion names its key, so keys without a name are none.
    if metadata.jwks is not None and not any(key.kid for key in metadata.jwks.keys):
        return "private_key_jwt auth method requires at least one key in jwks"
    return None if has_alg else "Missing token_endpoint_auth_signing_alg client metadata"


def _protocol_problem(metadata: ClientMetadata) -> str | None:
    """What differs from the profile of AT Protocol."""
    if metadata.authorization_encrypted_response_enc is not None:
        return "Encrypted authorization response is not supported"
    if metadata.tls_client_certificate_bound_access_tokens:
        return "Mutual-TLS bound access tokens are not supported"
    if metadata.dpop_bound_access_tokens is not True:
        return '"dpop_bound_access_tokens" must be true'
    if "code" not in metadata.response_types:
        return 'response_types must include "code"'
    if "authorization_code" not in metadata.grant_types:
        return 'The "code" response type requires that "grant_types" contains "authorization_code"'
    if metadata.authorization_details_types:
        return "authorization_details_types are not supported"
    # A person can read the secrets of an app on their own machine (RFC 8252, section 8.4).
    is_public = metadata.token_endpoint_auth_method == "none"  # noqa: S105 - no secret
    if metadata.application_type == "native" and not is_public:
        return 'Native clients must authenticate using "none" method'
    return None


def _client_uri_problem(client_id: Uri, client_uri: str | None) -> str | None:
    """What is wrong with a home page: a client shows no other host's page as its own."""
    if client_uri is None:
        return None
    home = Uri.parse(client_uri)
    if home.origin != client_id.origin:
        return "client_uri must have the same origin as the client_id"
    parent = home.path if home.path.endswith("/") else f"{home.path}/"
    if client_id.path != home.path and not client_id.path.startswith(parent):
        return "client_uri must be a parent URL of the client_id"
    return None


def _repeated(values: Sequence[str]) -> str | None:
    """The first value that occurs again later."""
    counts = Counter(values)
    return next((value for value, count in counts.items() if count > 1), None)
