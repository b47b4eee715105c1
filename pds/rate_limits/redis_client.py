"""The Redis or Valkey for expendable data that servers share: rate limit counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pds.config import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

ANSWER_S: Final = 0.25
"""How long a request may wait for Redis."""
_CONNECTIONS: Final = 8
"""Redis responds in less than a millisecond, so that few connections serve many requests."""


def open_redis(settings: Settings) -> Redis | None:
    """Return a client that connects on first use; None if no such server is configured.

    Each step of a call takes at most `ANSWER_S`. Failures raise `redis.RedisError`.
    """
    address = settings.redis_address
    if address is None:
        return None
    # Imported here because it takes a seventh of a second.
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as ConnectionLost

    host, port = address
    pool = BlockingConnectionPool(
        max_connections=_CONNECTIONS,
        timeout=ANSWER_S,
        host=host,
        port=port,
        password=settings.limits.redis_password,
        socket_connect_timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        # Retries once, because an idle connection may have died.
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
        # Every version supports it, and the features of RESP3 are not needed.
        protocol=2,
    )
    return Redis.from_pool(pool)
