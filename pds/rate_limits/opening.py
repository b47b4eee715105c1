"""Creating the rate limiter that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping

from pds.config import Settings
from pds.monitoring.requests.client_address import ClientAddresses
from pds.rate_limits.limiter import RateLimiter
from pds.rate_limits.method_limits import MethodLimits
from pds.rate_limits.redis_client import open_redis
from pds.rate_limits.store import CounterStore


def open_rate_limiter(
    settings: Settings,
    addresses: ClientAddresses,
    methods: Mapping[str, MethodLimits],
    counters: CounterStore,
) -> RateLimiter | None:
    """Return a limiter with the limits of `methods` by NSID; None if limits are disabled.

    It counts in the Redis of the settings, or in the `counters` of this server.
    """
    if not settings.limits.rate_limits_enabled:
        return None
    return RateLimiter(
        _open_redis_store(settings) or counters,
        addresses,
        methods,
        bypass_key=settings.limits.bypass_key,
        bypass_networks=settings.rate_limit_bypass,
    )


def _open_redis_store(settings: Settings) -> CounterStore | None:
    redis = open_redis(settings)
    if redis is None:
        return None
    from pds.rate_limits.redis_store import RedisStore  # Imports the client library.

    return RedisStore(redis)
