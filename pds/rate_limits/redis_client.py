"""The Redis or Valkey for what servers share and may lose: counters of rate limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pds.config import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

ANSWER_S: Final = 0.25
"""How long a request may wait for it."""
_CONNECTIONS: Final = 8
"""It answers in less than a millisecond, so that few serve many requests."""


def open_redis(settings: Settings) -> Redis | None:
    """A client that connects when it is first used; None if the operator has no such server.

    Each step of a call takes `ANSWER_S` at most. What fails raises `redis.RedisError`.
    """
    address = settings.redis_address
    if address is None:
        return None
    # Only here: importing it takes a seventh of a second.
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
        # Once: the connection may have died while nobody used it.
        retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionLost,)),
        # Spoken by every version; what the newer one adds is not needed here.
        protocol=2,
    )
    return Redis.from_pool(pool)
