"""A replay store in a Redis or Valkey that several servers share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from redis.exceptions import RedisError

from pds.oauth.replay.errors import ReplayStoreFailed
from pds.oauth.replay.store import key_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX: Final = b"holdfast:replay:"
TIMEOUT_S: Final = 0.25


class RedisReplays:
    """A `ReplayStore` for any number of servers."""

    def __init__(self, redis: Redis, *, timeout_s: float = TIMEOUT_S) -> None:
        self._redis = redis
        self._timeout_s = timeout_s

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        """See `ReplayStore.unique`."""
        key = PREFIX + key_of(namespace, value)
        ttl_ms = max(1, int(ttl_s * 1000))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._redis.set(key, b"", px=ttl_ms, nx=True) is not None
        except (RedisError, OSError, TimeoutError) as exc:
            raise ReplayStoreFailed(str(exc) or "no answer in time") from exc

    async def close(self) -> None:
        """See `ReplayStore.close`: end the connections to Redis."""
        await self._redis.aclose()
