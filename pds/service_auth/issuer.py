"""Issuing service tokens for proxied requests, and reusing them for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from cachetools import TTLCache

from pds.service_auth.jwt import DEFAULT_LIFETIME_S, create_service_jwt
from repo.keys import PrivateKey

REUSED_FOR_S: Final = DEFAULT_LIFETIME_S / 2
"""The other half of a token's minute allows for latency, and for a service whose clock is ahead."""

_CACHED_TOKENS: Final = 20_000

_Use: TypeAlias = tuple[str, str, str]
"""Account, audience and method."""


class ServiceTokens:
    """Creates service tokens, and caches each for later requests.

    A cached token is used only while the key that signed it is the account's: not after the key was
    replaced or the account was deleted.
    """

    def __init__(
        self, key_of: Callable[[str], PrivateKey], *, clock: Callable[[], float] = time.time
    ) -> None:
        """Sign with the account's key, which `key_of` returns, or raises."""
        self._key_of = key_of
        self._clock = clock
        # Signing takes about 50 us, and a client keeps calling the same few methods.
        self._tokens: TTLCache[_Use, tuple[PrivateKey, str]] = TTLCache(
            _CACHED_TOKENS, REUSED_FOR_S, timer=clock
        )

    def get(self, did: str, aud: str, lxm: str) -> str:
        """Return a token with which `did` calls the method `lxm` of the service `aud`, a bare DID.

        Raises what `ActorStore.key` raises.
        """
        key = self._key_of(did)
        kept = self._tokens.get((did, aud, lxm))
        if kept is not None and kept[0] is key:
            return kept[1]
        token = create_service_jwt(key, iss=did, aud=aud, now_s=int(self._clock()), lxm=lxm)
        self._tokens[did, aud, lxm] = key, token
        return token
