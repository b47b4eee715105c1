"""What a hold demands of the tokens that its callers and its AppView sign.

They are the service tokens of atproto with rules of their own: AppViews request them for a method
other than the one that they call, so the method limits little. What limits a token is its audience,
the hold, and its lifetime of at most an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import structlog
from cachetools import TTLCache

from pds.service_auth.jwt import (
    BadJwt,
    BadJwtAudience,
    BadJwtIss,
    BadJwtLexiconMethod,
    JwtExpired,
    JwtTooLongLived,
    check_type_and_times,
)
from repo.syntax import Did, is_did

if TYPE_CHECKING:
    from pds.jose.jwt import Jwt

MAX_LIFETIME_S: Final = 60 * 60
"""The longest lifetime of a token that a PDS issues."""
METHODS: Final = frozenset({"com.atproto.repo.getRecord", "com.atproto.sync.getBlob"})
"""Methods besides the hold's own that a token may be for. AppViews ask the PDSs of their users for
tokens for getRecord, whatever they call."""
OWN_METHODS: Final = "io.atcr.hold."
FRAGMENTS: Final = ("", "#atcr_hold", "#atproto_pds")
"""What an audience may add to the hold's DID."""
ALGORITHMS: Final = ("ES256K", "ES256")

_LOGGED_EVERY_S: Final = 60 * 60
_MAX_LOGGED: Final = 100
_MAX_SHOWN: Final = 100

_log = structlog.get_logger(__name__)


class TokenRules:
    """Checks everything of a token that needs no look-up."""

    def __init__(
        self,
        did: str,
        *,
        methods: Collection[str] = (),
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Accept tokens for the hold `did`, also those for `methods`. `now_s` is Unix time."""
        self._audiences = frozenset(did + fragment for fragment in FRAGMENTS)
        self._methods = METHODS | frozenset(methods)
        self._now_s = now_s
        self._logged: TTLCache[str, None] = TTLCache(_MAX_LOGGED, _LOGGED_EVERY_S)

    def check(self, jwt: Jwt, nsid: str, algorithms: Collection[str] = ALGORITHMS) -> Did:
        """Return the DID that claims to have signed a token, presented to call `nsid`.

        Raises `ServiceJwtError`s.
        """
        now_s = self._now_s()
        if jwt.header["alg"] not in algorithms:
            raise BadJwt
        check_type_and_times(jwt, now_s)
        claims = jwt.claims
        if claims["exp"] > now_s + MAX_LIFETIME_S:
            raise JwtTooLongLived(MAX_LIFETIME_S)
        if claims["aud"] not in self._audiences:
            raise BadJwtAudience
        self.check_method(claims.get("lxm"), nsid)
        # A fragment names a service of the account, but the key is always the account's own.
        did = claims["iss"].partition("#")[0]
        if not is_did(did):
            raise BadJwtIss
        return Did(did)

    def check_expiry(self, expires_at: float) -> None:
        """Raise `JwtExpired` if a token is no longer valid."""
        if expires_at < self._now_s():
            raise JwtExpired

    def check_method(self, lxm: object, nsid: str) -> str | None:
        """Return the only method that a token for `lxm` may call; None if it may call all.

        Raises `BadJwtLexiconMethod` unless it may call `nsid`.
        """
        if lxm is None:
            return None
        if isinstance(lxm, str):
            if lxm in self._methods or lxm.startswith(OWN_METHODS):
                return None
            if lxm == nsid:
                return nsid
        shown = str(lxm)[:_MAX_SHOWN]
        if shown not in self._logged:
            self._logged[shown] = None
            _log.warning(
                "refused a service token for another method; PDS_HOLD_TOKEN_METHODS accepts more",
                lxm=shown,
                called=nsid,
            )
        raise BadJwtLexiconMethod("bad", nsid)
