"""The error for an exceeded rate limit."""

from __future__ import annotations


class TooManyRequests(Exception):
    """A rate limit is exceeded."""

    def __init__(self, retry_after_s: int | None = None) -> None:
        """Set the Retry-After header to `retry_after_s`; None if `headers.add_headers` does so."""
        super().__init__("Rate Limit Exceeded")
        self.retry_after_s = retry_after_s
