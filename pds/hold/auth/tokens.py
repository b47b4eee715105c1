"""Service tokens that callers of a hold present: one for many calls, until it expires.

A token that was valid once is remembered, and costs its later calls little. The checks of
`token_rules` come first, so that only a token that passes them costs a request to a stranger's
server.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeAlias

from cachetools import LRUCache

from pds.hold.auth.denials import Denials, Refusal
from pds.hold.errors import to_xrpc
from pds.service_auth.jwt import (
    BadJwtSignature,
    JwtIssuerUnresolved,
    KeyResolver,
    ServiceJwtError,
    check_signature,
    read_service_jwt,
)

if TYPE_CHECKING:
    from identity.resolver import DidResolver
    from pds.hold.auth.token_rules import TokenRules
    from pds.jose.jwt import Jwt
    from repo.syntax import Did

_MAX_VERIFIED: Final = 10_000
"""About 4 MB. The token whose last use is oldest is verified again."""
_FREE_OF_ADDRESS: Final = 20
"""More than for a DID: everybody who uses an AppView has its address."""

_Asker: TypeAlias = tuple[str, int]
"""A client's address group and the hash of the DID that it claims, which may be long. Not the DID
alone: anyone can claim it, and would shut out its owner."""


@dataclass(frozen=True, slots=True)
class _Verified:
    issuer: Did
    only_method: str | None
    """The method that it may call; None if it may call all of the hold's."""
    expires_at: float
    did_key: str


class HoldTokens:
    """Verifies the service tokens of a hold's callers, and remembers those that are valid."""

    def __init__(self, rules: TokenRules, resolver: DidResolver, resolve_key: KeyResolver) -> None:
        """Verify with the keys that `resolve_key` finds, in documents that `resolver` caches."""
        self._rules = rules
        self._resolver = resolver
        self._resolve_key = resolve_key
        self._verified: LRUCache[bytes, _Verified] = LRUCache(_MAX_VERIFIED)
        self._denials: Denials[_Asker] = Denials()
        self._address_denials: Denials[str] = Denials(free=_FREE_OF_ADDRESS)

    async def verify(self, token: str, *, nsid: str, address: str) -> Did:
        """Return the account that signed `token`, presented from `address` to call `nsid`.

        Raises `ServiceJwtError`s, and an `XrpcError` with a Retry-After if such tokens were refused
        too often.
        """
        digest = _digest(token)
        issuer = self._recall(digest, nsid)
        if issuer is not None:
            return issuer
        jwt = read_service_jwt(token)
        did = self._rules.check(jwt, nsid)
        key = await self._check_signature(jwt, did, address)
        only_method = self._rules.check_method(jwt.claims.get("lxm"), nsid)
        self._verified[digest] = _Verified(did, only_method, jwt.claims["exp"], key)
        return did

    def recall(self, token: str, *, nsid: str) -> Did | None:
        """Return the account that signed `token`, if it was verified before and is still valid."""
        try:
            return self._recall(_digest(token), nsid)
        except ServiceJwtError:
            return None

    def _recall(self, digest: bytes, nsid: str) -> Did | None:
        known = self._find_verified(digest)
        if known is None:
            return None
        self._rules.check_expiry(known.expires_at)
        self._rules.check_method(known.only_method, nsid)
        return known.issuer

    def _find_verified(self, digest: bytes) -> _Verified | None:
        known = self._verified.get(digest)
        if known is None:
            return None
        document = self._resolver.find_cached(known.issuer)
        if document is None or document.signing_key() != known.did_key:
            del self._verified[digest]
            return None
        return known

    async def _check_signature(self, jwt: Jwt, did: Did, address: str) -> str:
        """Return the did:key that signed the token."""
        asker = address, hash(did)
        denial = self._denials.find(asker)
        if denial is None and self._resolver.find_cached(did) is None:
            # Issuers whose documents are known get in, even while others claim one new DID after
            # another.
            denial = self._address_denials.find(address)
        if denial is not None:
            raise denial.error()
        try:
            key = await check_signature(jwt, did, self._resolve_key)
        except (BadJwtSignature, JwtIssuerUnresolved) as exc:
            refusal = Refusal.of(to_xrpc(exc))
            self._denials.note(asker, refusal)
            self._address_denials.note(address, refusal)
            raise
        self._denials.forget(asker)
        self._address_denials.forget(address)
        return key.did_key


def _digest(token: str) -> bytes:
    # Surrogates stand for bytes that are not UTF-8, which no valid token has.
    return sha256(token.encode("utf-8", "replace")).digest()
