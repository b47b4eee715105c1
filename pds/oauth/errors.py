"""What the authorization server refuses, with the names of OAuth.

`pds.web.oauth` turns each into an answer or a redirect. A client may see every description.

Spec: https://www.rfc-editor.org/rfc/rfc6749, https://www.rfc-editor.org/rfc/rfc9449
"""

from __future__ import annotations

from typing import ClassVar

from pds.oauth.requests.parameters import AuthorizationParameters


class OAuthError(Exception):
    """A refusal; `error` is its name in the protocol."""

    error: ClassVar[str]
    parameters: AuthorizationParameters | None = None
    """The request that is refused, if its answer may go to the client through the browser.

    Its redirect URI is known to be the client's own, whatever else is wrong.
    """

    def __init__(self, description: str) -> None:
        """`description` tells the client what is wrong, in a sentence or a few words."""
        super().__init__(description)
        self.description = description


class InvalidRequest(OAuthError):
    """A parameter is missing, malformed, repeated or not supported."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """The client did not authenticate, or not as its metadata says."""

    error = "invalid_client"


class InvalidClientId(OAuthError):
    """The client_id has none of the forms that name a client."""

    error = "invalid_client_id"


class InvalidClientMetadata(OAuthError):
    """The client's metadata cannot be fetched, or breaks a rule."""

    error = "invalid_client_metadata"


class InvalidRedirectUri(OAuthError):
    """A redirect URI in the client's metadata breaks a rule."""

    error = "invalid_redirect_uri"


class InvalidGrant(OAuthError):
    """A code or refresh token is unknown, used, expired or another client's."""

    error = "invalid_grant"


class InvalidScope(OAuthError):
    """A scope is malformed, not declared by the client, or cannot be resolved."""

    error = "invalid_scope"


class UnsupportedResponseType(OAuthError):
    """The response type is not `code`."""

    error = "unsupported_response_type"


class AccessDenied(OAuthError):
    """The person refused, or the request cannot be used any more."""

    error = "access_denied"


class LoginRequired(OAuthError):
    """With prompt=none: nobody is signed in, or not freshly enough."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """With prompt=none: the person has not agreed to this yet."""

    error = "consent_required"


class AccountSelectionRequired(OAuthError):
    """With prompt=none: several accounts are signed in."""

    error = "account_selection_required"


class InvalidDpopProof(OAuthError):
    """The DPoP proof is missing, malformed, expired, replayed, or for another request."""

    error = "invalid_dpop_proof"


class UseDpopNonce(OAuthError):
    """The proof must be made again, with the nonce that the answer carries."""

    error = "use_dpop_nonce"


class InvalidToken(OAuthError):
    """The access token is unknown, expired, ended, or bound to another key."""

    error = "invalid_token"
