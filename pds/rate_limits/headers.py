"""Rate limit headers of responses.

As in the reference PDS, the names are those of an IETF draft, but RateLimit-Reset is a Unix time.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06
"""

from __future__ import annotations

from math import ceil

from pds.rate_limits.store import Count


def headers_of(count: Count, *, now_s: float) -> dict[str, str]:
    """Return the headers for one count. `now_s` is the Unix time of the count, in seconds."""
    limit = count.limit
    headers = {
        "RateLimit-Limit": str(limit.points),
        # Rounded up, so that a client that retries at that time is not too early.
        "RateLimit-Reset": str(ceil(now_s + count.resets_in_ms / 1000)),
        "RateLimit-Remaining": str(max(count.remaining, 0)),
        "RateLimit-Policy": f"{limit.points};w={limit.window_s}",
    }
    if count.remaining < 0:
        headers["Retry-After"] = str(ceil(count.resets_in_ms / 1000))
    return headers
