"""Service tokens that callers of a hold present: one for many calls, until it expires.

They are the tokens of other services with rules of their own: AppViews get them for another method
than they call, so the method limits little. What limits a token is its audience, the hold, and its
life, at most an hour. Everything that needs no look-up is checked first, so that a token costs a
request to a stranger's server only if it is in order otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from cachetools import LRUCache, TTLCache

from pds.hold.denials import Denials, Refusal
from pds.hold.errors import to_xrpc
from pds.service_auth.jwt import (
    BadJwt,
    BadJwtAudience,
    BadJwtIss,
    BadJwtLexiconMethod,
    BadJwtSignature,
    JwtExpired,
    JwtIssuerUnresolved,
    JwtTooLongLived,
    check_signature,
    check_type_and_times,
    read_service_jwt,
)
from repo.syntax import Did, is_did

if TYPE_CHECKING:
    from identity.resolver import DidResolver
    from pds.jose.jwt import Jwt
    from pds.service_auth.verifier import ServiceAuth

MAX_LIFETIME_S: Final = 60 * 60
"""The longest that a PDS issues a token for."""
METHODS: Final = frozenset({"com.atproto.repo.getRecord", "com.atproto.sync.getBlob"})
"""Methods besides the hold's own that a token may be for. AppViews ask the PDSs of their users for
tokens for getRecord, whatever they call."""
OWN_METHODS: Final = "io.atcr.hold."
FRAGMENTS: Final = ("", "#atcr_hold", "#atproto_pds")
"""What an audience may add to the hold's DID."""

_ALGORITHMS: Final = ("ES256K", "ES256")
_MAX_VERIFIED: Final = 10_000
"""Some 4 MB. The token whose last use is oldest is verified again."""
_FREE_OF_ADDRESS: Final = 20
"""More than for a DID: everybody who uses an AppView has its address."""
_LOGGED_EVERY_S: Final = 60 * 60
_MAX_LOGGED: Final = 100
_MAX_SHOWN: Final = 100

_log = structlog.get_logger(__name__)
_Asker: TypeAlias = tuple[str, str]
"""A client's address group and the DID it claims, or none for all that it claims. Not the DID
alone: anyone can claim it, and would shut out its owner."""


@dataclass(frozen=True, slots=True)
class _Verified:
    issuer: Did
    lxm: object
    expires_at: float
    did_key: str


class HoldTokens:
    """Verifies the service tokens of a hold's callers, and remembers those that are valid."""

    def __init__(
        self,
        service_auth: ServiceAuth,
        resolver: DidResolver,
        *,
        did: str,
        methods: Collection[str] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Accept tokens for the hold `did`, also those for `methods`. `now_s` is Unix time."""
        self._service_auth = service_auth
        self._resolver = resolver
        self._audiences = frozenset(did + fragment for fragment in FRAGMENTS)
        self._methods = METHODS | frozenset(methods)
        self._now_s = now_s
        self._verified: LRUCache[bytes, _Verified] = LRUCache(_MAX_VERIFIED)
        self._denials: Denials[_Asker] = Denials()
        self._address_denials: Denials[str] = Denials(free=_FREE_OF_ADDRESS)
        self._logged: TTLCache[object, None] = TTLCache(_MAX_LOGGED, _LOGGED_EVERY_S)

    async def verify(self, token: str, *, nsid: str, address: str) -> Did:
        """Return the account that signed `token`, presented from `address` to call `nsid`.

        Raises `ServiceJwtError`s, and an `XrpcError` with a Retry-After if such tokens were refused
        too often.
        """
        # Surrogates stand for bytes that are no UTF-8, which no valid token has.
        digest = sha256(token.encode("utf-8", "replace")).digest()
        known = self._find_verified(digest)
        if known is not None:
            self._check_method(known.lxm, nsid)
            return known.issuer
        jwt = read_service_jwt(token)
        did = self._check_claims(jwt, nsid)
        key = await self._check_signature(jwt, did, address)
        self._verified[digest] = _Verified(did, jwt.claims.get("lxm"), jwt.claims["exp"], key)
        return did

    def _find_verified(self, digest: bytes) -> _Verified | None:
        known = self._verified.get(digest)
        if known is None:
            return None
        if known.expires_at < self._now_s():
            del self._verified[digest]
            raise JwtExpired
        document = self._resolver.find_cached(known.issuer)
        if document is None or document.signing_key() != known.did_key:
            del self._verified[digest]
            return None
        return known

    def _check_claims(self, jwt: Jwt, nsid: str) -> Did:
        """Return the account that claims to have signed the token."""
        now_s = self._now_s()
        if jwt.header["alg"] not in _ALGORITHMS:
            raise BadJwt
        check_type_and_times(jwt, now_s)
        claims = jwt.claims
        if claims["exp"] > now_s + MAX_LIFETIME_S:
            raise JwtTooLongLived(MAX_LIFETIME_S)
        if claims["aud"] not in self._audiences:
            raise BadJwtAudience
        self._check_method(claims.get("lxm"), nsid)
        # A fragment names a service of the account, but the key is always the account's own.
        did = claims["iss"].partition("#")[0]
        if not is_did(did):
            raise BadJwtIss
        return Did(did)

    def _check_method(self, lxm: object, nsid: str) -> None:
        if lxm is None:
            return
        if isinstance(lxm, str) and (
            lxm == nsid or lxm in self._methods or lxm.startswith(OWN_METHODS)
        ):
            return
        shown = str(lxm)[:_MAX_SHOWN]
        if shown not in self._logged:
            self._logged[shown] = None
            _log.warning(
                "refused a service token for another method; PDS_HOLD_TOKEN_METHODS accepts more",
                lxm=shown,
                called=nsid,
            )
        raise BadJwtLexiconMethod("bad", nsid)

    async def _check_signature(self, jwt: Jwt, did: Did, address: str) -> str:
        """Return the did:key that signed the token."""
        asker = address, did
        denial = self._denials.find(asker)
        if denial is None and self._resolver.find_cached(did) is None:
            # Those whose documents are known come in, although others claim ever new DIDs.
            denial = self._address_denials.find(address)
        if denial is not None:
            raise denial.error()
        try:
            key = await check_signature(jwt, did, self._service_auth.resolve_key)
        except (BadJwtSignature, JwtIssuerUnresolved) as exc:
            refusal = Refusal.of(to_xrpc(exc))
            self._denials.note(asker, refusal)
            self._address_denials.note(address, refusal)
            raise
        self._denials.forget(asker)
        self._address_denials.forget(address)
        return key.did_key
