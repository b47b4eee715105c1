"""Service tokens for the requests that are passed on: made for an account, and used for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from cachetools import TTLCache

from pds.service_auth.jwt import DEFAULT_LIFETIME_S, create_service_jwt
from repo.keys import PrivateKey

REUSED_FOR_S: Final = DEFAULT_LIFETIME_S / 2
"""The other half of a token's minute is for the way, and for a service whose clock is ahead."""

_CACHED_TOKENS: Final = 20_000

_Use: TypeAlias = tuple[str, str, str]
"""Account, audience and method."""


class ServiceTokens:
    """Makes service tokens, and keeps each for the requests that follow.

    A token counts only while the key that signed it is the account's: with another key, or none
    because the account is gone, it is not handed out again.
    """

    def __init__(
        self, key_of: Callable[[str], PrivateKey], *, clock: Callable[[], float] = time.time
    ) -> None:
        """`key_of` gives an account's signing key, or raises."""
        self._key_of = key_of
        self._clock = clock
        # Signing takes about 50 us, and a client calls the same few methods again and again.
        self._tokens: TTLCache[_Use, tuple[PrivateKey, str]] = TTLCache(
            _CACHED_TOKENS, REUSED_FOR_S, timer=clock
        )

    def get(self, did: str, aud: str, lxm: str) -> str:
        """A token by which `did` calls the method `lxm` of the service `aud`, a bare DID.

        Raises what `ActorStore.key` raises.
        """
        key = self._key_of(did)
        kept = self._tokens.get((did, aud, lxm))
        if kept is not None and kept[0] is key:
            return kept[1]
        token = create_service_jwt(key, iss=did, aud=aud, now_s=int(self._clock()), lxm=lxm)
        self._tokens[did, aud, lxm] = key, token
        return token
