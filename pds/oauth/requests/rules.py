"""`RequestRules`: whether a client may ask for what it asks for, in the order of the reference.

Spec: https://atproto.com/specs/oauth#authorization-requests
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from pds.oauth.clients.client import Client
from pds.oauth.errors import (
    ConsentRequired,
    InvalidRequest,
    InvalidScope,
    OAuthError,
    UnsupportedResponseType,
)
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.scopes.scope import ATPROTO
from pds.oauth.scopes.values import ATPROTO_DID
from repo.syntax import InvalidSyntax, parse_handle

_DID: Final = re.compile(ATPROTO_DID)
_OPENID_PARAMETERS: Final = ("claims", "id_token_hint", "nonce")


class RequestRules:
    """Checks the parameters of a request against its client."""

    def __init__(
        self,
        *,
        is_scope: Callable[[str], bool],
        resolve_sets: Callable[[str], Awaitable[object]],
    ) -> None:
        """`is_scope` knows the scopes that this server can grant.

        `resolve_sets` raises `InvalidScope` unless every permission set in a scope text is found.
        """
        self._is_scope = is_scope
        self._resolve_sets = resolve_sets

    async def check(
        self, client: Client, parameters: AuthorizationParameters
    ) -> AuthorizationParameters:
        """Return the parameters completed, as they are stored.

        Raises `OAuthError`. It has the request's `parameters` if its redirect URI is the client's.
        """
        try:
            return await self._check(client, parameters)
        except OAuthError as exc:
            exc.parameters = _answerable(client, parameters)
            raise

    async def _check(
        self, client: Client, parameters: AuthorizationParameters
    ) -> AuthorizationParameters:
        _check_supported(parameters)
        _check_client(client, parameters)
        parameters = _with_redirect_uri(client, parameters)
        asked_for = parameters.scope.split(" ") if parameters.scope else []
        # A scope of a later version of the protocol cannot be shown to the person, nor granted.
        scopes = [scope for scope in dict.fromkeys(asked_for) if self._is_scope(scope)]
        _check_challenge(parameters)
        if ATPROTO not in asked_for:
            raise InvalidScope('The "atproto" scope is required')
        if "openid" in asked_for:
            raise InvalidScope("OpenID Connect is not compatible with atproto")
        if parameters.json.get("code_challenge_method") != "S256":
            raise InvalidRequest('atproto requires use of "S256" code_challenge_method')
        if len(scopes) < len(asked_for):
            parameters = parameters.having(scope=" ".join(scopes))
        parameters = _with_prompt(client, parameters)
        parameters = _with_login_hint(parameters)
        await self._resolve_sets(parameters.scope)
        return parameters


def _answerable(
    client: Client, parameters: AuthorizationParameters
) -> AuthorizationParameters | None:
    """The parameters with their redirect URI, if the person may be sent there with an error."""
    if parameters.client_id != client.client_id:
        return None
    try:
        return _with_redirect_uri(client, parameters)
    except InvalidRequest:
        return None


def _check_supported(parameters: AuthorizationParameters) -> None:
    for name in _OPENID_PARAMETERS:
        if name in parameters.json:
            raise InvalidRequest(f'Unsupported "{name}" parameter')
    response_type = parameters.json.get("response_type")
    if response_type != "code":
        raise UnsupportedResponseType(f'Unsupported response_type "{response_type}"')
    if "authorization_details" in parameters.json:
        raise InvalidRequest('Unsupported "authorization_details" parameter')


def _check_client(client: Client, parameters: AuthorizationParameters) -> None:
    if parameters.client_id != client.client_id:
        raise InvalidRequest(
            'The "client_id" parameter field does not match the value used to authenticate the '
            "client"
        )
    declared = frozenset(client.metadata.scopes)
    for scope in parameters.scope.split(" ") if parameters.scope else ():
        if scope not in declared:
            raise InvalidScope(f'Scope "{scope}" is not declared in the client metadata')


def _with_redirect_uri(
    client: Client, parameters: AuthorizationParameters
) -> AuthorizationParameters:
    uri = parameters.json.get("redirect_uri")
    if uri is None:
        if client.default_redirect_uri is None:
            raise InvalidRequest("redirect_uri is required")
        return parameters.having(redirect_uri=client.default_redirect_uri)
    if not client.has_redirect_uri(uri):
        raise InvalidRequest(f"Invalid redirect_uri {uri}")
    return parameters


def _check_challenge(parameters: AuthorizationParameters) -> None:
    if parameters.code_challenge:
        return
    if parameters.json.get("code_challenge_method"):
        raise InvalidRequest("code_challenge is required when code_challenge_method is provided")
    raise InvalidRequest("Use of PKCE is required")


def _with_prompt(client: Client, parameters: AuthorizationParameters) -> AuthorizationParameters:
    """Have the person asked every time, unless the client proves that it is who it says."""
    if client.is_confidential or client.is_trusted:
        return parameters
    if parameters.prompt == "none":
        raise ConsentRequired("Public clients are not allowed to use silent-sign-on")
    if parameters.prompt == "create":
        return parameters
    return parameters.having(prompt="consent")


def _with_login_hint(parameters: AuthorizationParameters) -> AuthorizationParameters:
    if parameters.login_hint is None:
        return parameters
    hint = parameters.login_hint.lower()
    if not _is_did_of_atproto(hint) and not _is_handle(hint):
        raise InvalidRequest(f'Invalid login_hint "{hint}"')
    return parameters.having(login_hint=hint)


def _is_did_of_atproto(text: str) -> bool:
    """Whether an account can have this DID, by its method."""
    return _DID.fullmatch(text) is not None


def _is_handle(text: str) -> bool:
    try:
        parse_handle(text)
    except InvalidSyntax:
        return False
    return True
