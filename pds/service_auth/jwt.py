"""Service tokens: JWTs, signed with an account's repo key, that authenticate it to other services.

ServiceJwtError
├── BadJwt                  not a JWT with the required claims
├── BadJwtType              a token of another protocol
├── JwtExpired
├── JwtNotYetValid
├── JwtTooLongLived         valid for longer than the service accepts
├── BadJwtLexiconMethod     issued for another method, or for none
├── BadJwtIss               the issuer is not a DID
├── UntrustedIss            a service where an account is expected, or another service
├── JwtIssuerUnresolved     no DID document, or no key in it
├── BadJwtSignature
└── BadJwtAudience          issued for another service

Spec: https://atproto.com/specs/xrpc#inter-service-authentication-jwt
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pds.accounts.errors import AccountError
from pds.jose.jwt import InvalidJwt, Jwt, is_time, read_unverified_jwt, sign_jwt
from repo.keys import PrivateKey, PublicKey
from repo.syntax import is_did

DEFAULT_LIFETIME_S: Final = 60
MAX_TOKEN_LENGTH: Final = 16_384
NOT_BEFORE_LEEWAY_S: Final = 60
"""How far an issuer's clock may be ahead."""
OTHER_TYPES: Final = ("at+jwt", "refresh+jwt", "dpop+jwt")
"""Types of tokens that are no service tokens."""


class ServiceJwtError(AccountError):
    """The service token is not accepted. `error` is the protocol's name for the reason."""

    error: str = "BadJwt"


class BadJwt(ServiceJwtError):
    """The token is not a JWT, or lacks alg, iss, aud or exp."""

    def __init__(self) -> None:
        super().__init__("poorly formatted jwt")


class BadJwtType(ServiceJwtError):
    """The token is a session or DPoP token, which must not be accepted as a service token."""

    error = "BadJwtType"

    def __init__(self, typ: str) -> None:
        super().__init__(f'Invalid jwt type "{typ}"')


class JwtExpired(ServiceJwtError):
    """The token has expired."""

    error = "JwtExpired"

    def __init__(self) -> None:
        super().__init__("jwt expired")


class JwtNotYetValid(ServiceJwtError):
    """The token is not valid yet."""

    def __init__(self) -> None:
        super().__init__("jwt not yet valid")


class JwtTooLongLived(ServiceJwtError):
    """The token is valid for longer than the service accepts."""

    def __init__(self, max_lifetime_s: int) -> None:
        super().__init__(f"jwt expires more than {max_lifetime_s} seconds from now")


class BadJwtLexiconMethod(ServiceJwtError):
    """The token is for another method, or for none."""

    error = "BadJwtLexiconMethod"

    def __init__(self, fault: str, lxm: str) -> None:
        super().__init__(f'{fault} jwt lexicon method ("lxm"). must match: {lxm}')


class BadJwtIss(ServiceJwtError):
    """The issuer is not a DID."""

    error = "BadJwtIss"

    def __init__(self) -> None:
        super().__init__("jwt iss is not a valid did")


class UntrustedIss(ServiceJwtError):
    """The issuer is not accepted here: the owner of a key determines what it gives access to."""

    error = "UntrustedIss"

    def __init__(self) -> None:
        super().__init__("Untrusted issuer")


class JwtIssuerUnresolved(ServiceJwtError):
    """The issuer's DID document or key could not be resolved. Raised by key resolvers."""

    error = "AuthenticationRequired"

    def __init__(self, message: str = "could not resolve iss did") -> None:
        super().__init__(message)


class BadJwtSignature(ServiceJwtError):
    """The signature is not the issuer's."""

    error = "BadJwtSignature"

    def __init__(self) -> None:
        super().__init__("jwt signature does not match jwt issuer")


class BadJwtAudience(ServiceJwtError):
    """The token is for another service."""

    error = "BadJwtAudience"

    def __init__(self) -> None:
        super().__init__("jwt audience does not match service did")


class KeyResolver(Protocol):
    """Finds the key of an issuer, a DID or `did#fragment`.

    `force` fetches the DID document again. Raises `JwtIssuerUnresolved`.
    """

    def __call__(self, iss: str, *, force: bool) -> Awaitable[PublicKey]: ...


@dataclass(frozen=True, slots=True)
class ServiceJwt:
    """The claims of a verified service token. `expires_at` is in Unix seconds."""

    iss: str
    """A DID, for the account itself, or `did#fragment`, for one of its services."""
    aud: str
    lxm: str
    expires_at: float


def create_service_jwt(
    key: PrivateKey,
    *,
    iss: str,
    aud: str,
    now_s: int,
    lxm: str | None = None,
    expires_at: int | None = None,
) -> str:
    """Create a service token signed with the issuer's repo key, by default valid for a minute.

    `now_s` and `expires_at` are in Unix seconds.
    """
    claims: dict[str, Any] = {
        "iat": now_s,
        "iss": iss,
        "aud": aud,
        "exp": now_s + DEFAULT_LIFETIME_S if expires_at is None else expires_at,
    }
    if lxm is not None:
        claims["lxm"] = lxm
    claims["jti"] = secrets.token_hex(16)
    return sign_jwt(key, claims, typ="JWT")


async def verify_service_jwt(
    token: str,
    *,
    audiences: Collection[str],
    lxm: str,
    now_s: float,
    resolve_key: KeyResolver,
    issuers: Collection[str] | None = None,
) -> ServiceJwt:
    """Check a service token for the method `lxm` of one of the services `audiences`.

    If `issuers` is given, only these are accepted, compared including their fragments. Otherwise,
    any DID is accepted but none of its services: a labeler's key is not the account's. The order of
    checks is that of the reference PDS. Raises `ServiceJwtError`.
    """
    jwt = read_service_jwt(token)
    check_type_and_times(jwt, now_s)
    claims = jwt.claims
    if claims.get("lxm") != lxm:
        raise BadJwtLexiconMethod("bad" if claims.get("lxm") else "missing", lxm)
    iss = claims["iss"]
    did, separator, _ = iss.partition("#")
    if not is_did(did):
        raise BadJwtIss
    if separator if issuers is None else iss not in issuers:
        raise UntrustedIss
    await check_signature(jwt, iss, resolve_key)
    if claims["aud"] not in audiences:
        raise BadJwtAudience
    return ServiceJwt(iss, claims["aud"], lxm, claims["exp"])


def read_service_jwt(token: str) -> Jwt:
    """Parse a token, and check that alg, iss, aud, exp and nbf have the right types.

    Nothing of it is verified yet. Raises `BadJwt`.
    """
    try:
        jwt = read_unverified_jwt(token, max_length=MAX_TOKEN_LENGTH)
    except InvalidJwt as exc:
        raise BadJwt from exc
    texts = (jwt.header.get("alg"), jwt.claims.get("iss"), jwt.claims.get("aud"))
    times = (jwt.claims.get("exp"), jwt.claims.get("nbf", 0))
    if not all(isinstance(text, str) for text in texts) or not all(map(is_time, times)):
        raise BadJwt
    return jwt


def check_type_and_times(jwt: Jwt, now_s: float) -> None:
    """Raise `BadJwtType`, `JwtExpired` or `JwtNotYetValid` unless a token may be used now."""
    typ = jwt.header.get("typ")
    if typ in OTHER_TYPES:
        raise BadJwtType(typ)
    if jwt.claims["exp"] < now_s:
        raise JwtExpired
    if jwt.claims.get("nbf", 0) > now_s + NOT_BEFORE_LEEWAY_S:
        raise JwtNotYetValid


async def check_signature(jwt: Jwt, iss: str, resolve_key: KeyResolver) -> PublicKey:
    """Return the key of `iss`, which has signed the token.

    Raises `BadJwtSignature`, and what the resolver raises.
    """
    key = await resolve_key(iss, force=False)
    if jwt.is_signed_by(key):
        return key
    # The cached document may be older than a key rotation.
    fresh = await resolve_key(iss, force=True)
    if fresh.did_key == key.did_key or not jwt.is_signed_by(fresh):
        raise BadJwtSignature
    return fresh
