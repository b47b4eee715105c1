"""Counters in a Redis or Valkey that several servers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog
from redis.exceptions import RedisError

from pds.rate_limits.redis_client import ANSWER_S
from pds.rate_limits.store import Count, Hit

if TYPE_CHECKING:
    from redis.asyncio import Redis

PREFIX: Final = "holdfast:limit:"
RETRY_S: Final = 1.0
"""How long to wait before trying a failed Redis again."""

# One round trip, which counts and sets the end of the window atomically.
_ADD: Final = """
local counts = {}
for i, key in ipairs(KEYS) do
  local points, window_ms = ARGV[2 * i - 1], ARGV[2 * i]
  local used = redis.call('INCRBY', key, points)
  local left_ms = redis.call('PTTL', key)
  if left_ms < 0 then
    redis.call('PEXPIRE', key, window_ms)
    left_ms = tonumber(window_ms)
  end
  counts[2 * i - 1], counts[2 * i] = used, left_ms
end
return counts
"""

_log = structlog.get_logger(__name__)


class RedisStore:
    """A `CounterStore` for any number of servers.

    While Redis fails or hangs, nothing is counted: limits exist to protect the service and must not
    stop it. One request every `RETRY_S` tries again.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        timeout_s: float = ANSWER_S,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._add = redis.register_script(_ADD)
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._is_down = False
        self._retry_at_s = 0.0

    async def add(self, hits: Sequence[Hit]) -> list[Count] | None:
        """See `CounterStore.add`; None while Redis does not answer."""
        if self._is_down:
            now_s = self._now_s()
            if now_s < self._retry_at_s:
                return None
            self._retry_at_s = now_s + RETRY_S  # Requests in the meantime do not wait.
        try:
            async with asyncio.timeout(self._timeout_s):
                counts: list[int] = await self._add(
                    [f"{PREFIX}{hit.limit.name}:{hit.key}" for hit in hits],
                    [n for hit in hits for n in (hit.points, hit.limit.window_s * 1000)],
                )
        except (RedisError, OSError, TimeoutError) as exc:
            self._note_failure(exc)
            return None
        if self._is_down:
            self._is_down = False
            _log.info("Redis answers again: rate limits hold")
        used, left_ms = counts[::2], counts[1::2]
        return [Count(hit.limit, *found) for hit, *found in zip(hits, used, left_ms, strict=True)]

    async def close(self) -> None:
        """See `CounterStore.close`: end the connections to Redis."""
        await self._redis.aclose()

    def _note_failure(self, exc: Exception) -> None:
        if self._is_down:
            return
        self._is_down = True
        self._retry_at_s = self._now_s() + RETRY_S
        reason = str(exc) or "no answer in time"
        _log.error("Redis fails: rate limits do not hold until it answers", reason=reason)
