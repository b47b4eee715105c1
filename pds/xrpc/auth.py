"""Authentication: what an endpoint demands of the Authorization header, and how it is checked.

Each function here returns an `Authenticator` for the declaration of a method. They raise
`XrpcError` or `AccountError`s, with the reference's names and messages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web

from identity.lookups import fresh_lookups
from pds.accounts.errors import InvalidToken
from pds.accounts.scopes import FULL, PRIVILEGED, STANDARD, SessionScope
from pds.accounts.session_tokens import require_scope
from pds.fairness.presence import while_present
from pds.lifecycle.acting import get_acting_account
from pds.oauth.errors import InvalidToken as InvalidOAuthToken
from pds.oauth.scopes.granted import GrantedScopes
from pds.oauth.scopes.scope import ATPROTO
from pds.xrpc.credentials import (
    AdminCredentials,
    Anonymous,
    Authenticator,
    Credentials,
    RefreshCredentials,
    ServiceCredentials,
    UserCredentials,
    demands,
)
from pds.xrpc.errors import auth_required
from pds.xrpc.oauth_access import verify_access
from pds.xrpc.oauth_demands import OAuthDemand

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.oauth.access import OAuthAccess

_SCHEMES: Final = frozenset({"basic", "bearer", "dpop"})
_ADMIN_USER: Final = "admin"
_EXTRA_SCOPES: Final = {
    SessionScope.TAKENDOWN: "of a taken-down account",
    SessionScope.SIGNUP_QUEUED: "waiting to sign up",
}
_ANONYMOUS: Final = Anonymous()
_ADMIN: Final = AdminCredentials()


class Authentication:
    """Authentication by the tokens and passwords of a full server."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx

    async def verify(self, auth: Authenticator, request: web.Request) -> Credentials:
        """Verify the Authorization header of a request as its method demands."""
        return await auth(self._ctx, request)

    async def note_action(self, request: web.Request, nsid: str, body: Mapping[str, Any]) -> None:
        """Write down what the administrator has changed."""
        await note_action(self._ctx, request, nsid, _subject_of(body))

    def ensure_current(self, credentials: Credentials) -> None:
        """Raise `ExpiredToken`, or `OAuthError`, if the session has ended meanwhile."""
        if not isinstance(credentials, UserCredentials):
            return
        if credentials.token_id is None:
            self._ctx.session_tokens.ensure_current(credentials.did, credentials.issued_at)
        else:
            self._ctx.oauth_access.tokens.ensure_current(
                credentials.did, credentials.token_id, credentials.issued_at
            )


async def note_action(ctx: AppContext, request: web.Request, action: str, subject: str) -> None:
    """Write down what the administrator has changed by an API."""
    address = ctx.client_addresses.of(request).text
    await ctx.administration.actions.note(action, subject, address=address, via="api")


def user(
    scopes: frozenset[SessionScope] = STANDARD,
    *,
    oauth: OAuthDemand,
    refuse_takendown: bool = False,
) -> Authenticator:
    """Accept an access token: of a session with one of `scopes`, or of an OAuth client.

    `oauth` is what its scopes must allow. Optionally refuses a taken-down account.
    """
    refused = ", not taken down" if refuse_takendown else ""

    @demands(f"session ({_scopes_in_words(scopes)}){refused}; OAuth: {oauth.words}")
    async def authenticate(ctx: AppContext, request: web.Request) -> UserCredentials:
        scheme, token = _require_header(request)
        if scheme == "dpop":
            credentials = await _verify_oauth(ctx.oauth_access, request, token)
        else:
            credentials = _verify_access(ctx, _bearer(scheme, token), scopes)
        if refuse_takendown:
            get_acting_account(ctx, credentials.did, refuse_takendown=True)
        if credentials.uses_oauth:
            oauth.check(ctx, request, credentials.granted)
        return credentials

    return authenticate


def optional_user(scopes: frozenset[SessionScope] = STANDARD) -> Authenticator:
    """Accept no credentials, an access token with one of `scopes`, or the administrator."""

    @demands(f"none; session ({_scopes_in_words(scopes)}), OAuth (any) or admin sees more")
    async def authenticate(ctx: AppContext, request: web.Request) -> Credentials:
        if hdrs.AUTHORIZATION not in request.headers:
            return _ANONYMOUS
        scheme, value = _parse_header(request)
        if scheme == "basic":
            return await _verify_admin(ctx, request, value)
        if scheme == "dpop":
            return await _verify_oauth(ctx.oauth_access, request, value)
        return _verify_access(ctx, _bearer(scheme, value), scopes)

    return authenticate


def refresh(*, allow_expired: bool = False) -> Authenticator:
    """Accept a refresh token."""

    @demands("refresh token, also an expired one" if allow_expired else "refresh token")
    async def authenticate(ctx: AppContext, request: web.Request) -> RefreshCredentials:
        claims = ctx.session_tokens.verify_refresh(
            _bearer(*_require_header(request)), allow_expired=allow_expired
        )
        return RefreshCredentials(claims.did, claims.jti)

    return authenticate


@demands("admin")
async def admin(ctx: AppContext, request: web.Request) -> AdminCredentials:
    """Accept the administrator's password, by HTTP Basic."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "basic":
        raise auth_required("Authentication Required")
    return await _verify_admin(ctx, request, value)


@demands("admin or moderation service")
async def moderator(ctx: AppContext, request: web.Request) -> Credentials:
    """Accept the administrator, or the moderation service by a service token."""
    scheme, _, value = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer":
        return await admin(ctx, request)
    issuer = await ctx.service_auth.verify_moderator(value, nsid=method_of(request))
    return ServiceCredentials(issuer)


@demands("none, or a service token")
async def optional_service(ctx: AppContext, request: web.Request) -> Credentials:
    """Accept no credentials, or a service token that an account signed for this method."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        return _ANONYMOUS
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise auth_required("Invalid authorization header")
    # A caller that brings a DID may have set up its host a moment ago.
    with fresh_lookups():
        return await _verify_service(ctx, request, token)


def user_or_service(*, oauth: OAuthDemand) -> Authenticator:
    """Accept an access token of an account not taken down, or a service token that it signed."""
    by_session = user(refuse_takendown=True, oauth=oauth)

    @demands(f"{by_session.demands}; or a service token")
    async def authenticate(ctx: AppContext, request: web.Request) -> Credentials:
        scheme, token = _require_header(request)
        if scheme == "dpop" or not ctx.service_auth.is_service_token(_bearer(scheme, token)):
            return await by_session(ctx, request)
        credentials = await _verify_service(ctx, request, token)
        if ctx.accounts.find_account(credentials.issuer, include_inactive=True) is not None:
            get_acting_account(ctx, credentials.issuer, refuse_takendown=True)
        return credentials

    return authenticate


def user_or_moderator(
    scopes: frozenset[SessionScope] = STANDARD, *, oauth: OAuthDemand
) -> Authenticator:
    """Accept an access token as `user` does, or a service token of the moderation service."""
    by_session = user(scopes, oauth=oauth)

    @demands(f"{by_session.demands}; or the moderation service")
    async def authenticate(ctx: AppContext, request: web.Request) -> Credentials:
        scheme, token = _require_header(request)
        if scheme == "dpop" or not ctx.service_auth.is_service_token(_bearer(scheme, token)):
            return await by_session(ctx, request)
        issuer = await ctx.service_auth.verify_moderator(token, nsid=method_of(request))
        return ServiceCredentials(issuer)

    return authenticate


def method_of(request: web.Request) -> str:
    """Return the NSID that a request calls."""
    return request.match_info["nsid"].rstrip("/")


def _scopes_in_words(scopes: frozenset[SessionScope]) -> str:
    """Return the name of the set `scopes` is based on, and the scopes it adds."""
    named = ((STANDARD, "any"), (PRIVILEGED, "privileged"), (FULL, "full"))
    base, name = next((one for one in named if one[0] <= scopes), (frozenset(), ""))
    return " + ".join([name, *sorted(_EXTRA_SCOPES[scope] for scope in scopes - base)])


def _verify_access(ctx: AppContext, token: str, scopes: frozenset[SessionScope]) -> UserCredentials:
    claims = ctx.session_tokens.verify_access(token)
    require_scope(claims, scopes)
    return UserCredentials(claims.did, claims.scope, claims.issued_at)


async def _verify_oauth(oauth: OAuthAccess, request: web.Request, token: str) -> UserCredentials:
    session = await verify_access(oauth, request, token)
    granted = GrantedScopes.of(session.scope)
    if ATPROTO not in granted.values:
        raise InvalidOAuthToken("Invalid scope (expected one of: atproto)")
    return UserCredentials(
        session.did, None, session.issued_at, granted=granted, token_id=session.token_id
    )


async def _verify_admin(ctx: AppContext, request: web.Request, encoded: str) -> AdminCredentials:
    if not _is_admin(encoded, ctx.settings.secrets.admin_password):
        await ctx.admin_guesses.note_wrong(request)
        raise auth_required("Authentication Required")
    await ctx.admin_guesses.check_right(request)
    return _ADMIN


def _is_admin(encoded: str, expected: str) -> bool:
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return False
    name, _, password = text.partition(":")
    return name == _ADMIN_USER and hmac.compare_digest(password.encode(), expected.encode())


async def _verify_service(ctx: AppContext, request: web.Request, token: str) -> ServiceCredentials:
    # Anyone can write a token whose DID is resolved before anything else is checked.
    with while_present(request):
        issuer = await ctx.service_auth.verify(token, nsid=method_of(request))
    return ServiceCredentials(issuer)


def _require_header(request: web.Request) -> tuple[str, str]:
    if hdrs.AUTHORIZATION not in request.headers:
        raise auth_required("Authentication Required", "AuthMissing")
    return _parse_header(request)


def _bearer(scheme: str, token: str) -> str:
    if scheme != "bearer":
        raise InvalidToken("Unexpected authorization type")
    return token


def _subject_of(body: Mapping[str, Any]) -> str:
    """Return what a call is about, as far as its body names one thing."""
    subject = body.get("subject")
    named = {**body, **(subject if isinstance(subject, Mapping) else {})}
    found = (named.get(name) for name in ("did", "uri", "account", "recipientDid"))
    return next((each for each in found if isinstance(each, str)), "")


def _parse_header(request: web.Request) -> tuple[str, str]:
    parts = request.headers[hdrs.AUTHORIZATION].split(" ")
    if len(parts) != 2 or not all(parts):
        raise InvalidToken("Malformed authorization header")
    scheme = parts[0].lower()
    if scheme not in _SCHEMES:
        raise InvalidToken(f"Unsupported authorization type: {parts[0][:100]}")
    return scheme, parts[1]
