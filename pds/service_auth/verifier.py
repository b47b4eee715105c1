"""Verifying service tokens, which accounts and services sign with the keys of their DIDs."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

from identity.resolver import DidResolutionError, DidResolver
from pds.jose.jwt import InvalidJwt, read_unverified_jwt
from pds.service_auth.jwt import (
    MAX_TOKEN_LENGTH,
    JwtIssuerUnresolved,
    ServiceJwt,
    UntrustedIss,
    verify_service_jwt,
)
from repo.keys import InvalidKey, PublicKey, parse_did_key
from repo.syntax import Did

_LABELER: Final = "atproto_labeler"
_LABEL_KEY: Final = "atproto_label"
_REPO_KEY: Final = "atproto"


class ServiceAuth:
    """Verifies service tokens addressed to this server."""

    def __init__(
        self,
        resolver: DidResolver,
        *,
        audiences: Collection[str],
        moderator_did: str | None,
    ) -> None:
        """Accept tokens whose audience is one of `audiences`, DIDs of this server.

        `moderator_did` is the DID of the moderation service; None if there is none.
        """
        self._resolver = resolver
        self._audiences = audiences
        self._moderator_did = moderator_did

    def is_service_token(self, token: str) -> bool:
        """Whether a token claims to be for one method, which no session token does.

        The token is not trusted yet; this only selects the check that it must pass.
        """
        try:
            return "lxm" in read_unverified_jwt(token, max_length=MAX_TOKEN_LENGTH).claims
        except InvalidJwt:
            return False

    def makes_moderator(self, issuer: Did, audience: str) -> bool:
        """Whether a token from `issuer` for `audience` gives moderator rights on this server."""
        return issuer == self._moderator_did and audience.partition("#")[0] in self._audiences

    async def verify(self, token: str, *, nsid: str) -> Did:
        """Return the account that signed `token` for method `nsid`. Raises `ServiceJwtError`."""
        return Did((await self._verify(token, nsid, issuers=None)).iss)

    async def verify_moderator(self, token: str, *, nsid: str) -> Did:
        """Return the moderation service's DID, if it signed `token`. Raises `ServiceJwtError`."""
        did = self._moderator_did
        if did is None:
            raise UntrustedIss
        await self._verify(token, nsid, issuers=(did, f"{did}#{_LABELER}"))
        return Did(did)

    async def resolve_key(self, iss: str, *, force: bool) -> PublicKey:
        """Return the key of an issuer, as a `KeyResolver` does. Raises `JwtIssuerUnresolved`."""
        did, _, fragment = iss.partition("#")
        try:
            resolve = self._resolver.resolve_again if force else self._resolver.resolve
            document = await resolve(Did(did))
        except DidResolutionError as exc:
            raise JwtIssuerUnresolved from exc
        key = document.verification_key(_LABEL_KEY if fragment == _LABELER else _REPO_KEY)
        if key is None:
            raise JwtIssuerUnresolved("missing or bad key in did doc")
        try:
            return parse_did_key(key)
        except InvalidKey as exc:
            raise JwtIssuerUnresolved("missing or bad key in did doc") from exc

    async def _verify(
        self, token: str, nsid: str, *, issuers: Collection[str] | None
    ) -> ServiceJwt:
        return await verify_service_jwt(
            token,
            audiences=self._audiences,
            lxm=nsid,
            now_s=time.time(),
            resolve_key=self.resolve_key,
            issuers=issuers,
        )
