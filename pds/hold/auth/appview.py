"""Tokens of the AppView, the registry that may set the tiers of members.

It signs them with a P-256 key of its own DID document, for one user each, named in `sub`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.resolver import DidResolutionError
from pds.service_auth.jwt import (
    BadJwt,
    BadJwtSignature,
    JwtIssuerUnresolved,
    UntrustedIss,
    read_service_jwt,
)
from repo.keys import parse_did_key
from repo.syntax import Did, is_did

if TYPE_CHECKING:
    from identity.did_document import DidDocument
    from identity.resolver import DidResolver
    from pds.hold.auth.token_rules import TokenRules
    from pds.jose.jwt import Jwt

_ALGORITHMS: Final = ("ES256",)


class AppViewTokens:
    """Verifies the tokens of one AppView, or refuses all of them."""

    def __init__(self, rules: TokenRules, resolver: DidResolver, did: str | None) -> None:
        """Trust the AppView `did`; None trusts nobody."""
        self._rules = rules
        self._resolver = resolver
        self._did = did

    async def verify(self, token: str, *, nsid: str) -> Did:
        """Return the user that a token is about. Raises `ServiceJwtError`s."""
        jwt = read_service_jwt(token)
        did, user = self._rules.check(jwt, nsid, _ALGORITHMS), jwt.claims.get("sub")
        if did != self._did:
            raise UntrustedIss
        if not isinstance(user, str) or not is_did(user):
            raise BadJwt
        try:
            document = await self._resolver.resolve(did)
            if not _is_signed(jwt, document):
                # The cached document may be older than the key.
                fresh = await self._resolver.resolve_again(did)
                if fresh is document or not _is_signed(jwt, fresh):
                    raise BadJwtSignature
        except DidResolutionError as exc:
            raise JwtIssuerUnresolved from exc
        return Did(user)


def _is_signed(jwt: Jwt, document: DidDocument) -> bool:
    # The protocol does not say which key signs, and every key in the document is the AppView's.
    # Keys of other types do not fit the algorithm of the token.
    return any(jwt.is_signed_by(parse_did_key(key)) for key in document.verification_keys())
