"""Rate limit headers of responses.

As in the reference PDS, the names are those of an IETF draft, but RateLimit-Reset is a Unix time.
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-06
"""

from __future__ import annotations

from math import ceil
from typing import Final

from aiohttp import web

from pds.rate_limits.store import Count

HEADERS: Final = web.RequestKey("rate_limit_headers", dict[str, str])
"""Headers for the response of a counted request, whatever its outcome."""

_EXPOSED: Final = "RateLimit-Limit, RateLimit-Reset, RateLimit-Remaining, RateLimit-Policy"


def headers_of(count: Count, *, now_s: float) -> dict[str, str]:
    """Return the headers for one count. `now_s` is the Unix time of the count, in seconds."""
    limit = count.limit
    headers = {
        "RateLimit-Limit": str(limit.points),
        # Rounded up, so that a client that retries at that time is not too early.
        "RateLimit-Reset": str(ceil(now_s + count.resets_in_ms / 1000)),
        "RateLimit-Remaining": str(max(count.remaining, 0)),
        "RateLimit-Policy": f"{limit.points};w={limit.window_s}",
        "Access-Control-Expose-Headers": _EXPOSED,
    }
    if count.remaining < 0:
        headers["Retry-After"] = str(ceil(count.resets_in_ms / 1000))
        headers["Access-Control-Expose-Headers"] = f"{_EXPOSED}, Retry-After"
    return headers


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to a response about to be sent; called by an application signal."""
    headers = request.get(HEADERS)
    if headers is not None:
        response.headers.extend(headers)
