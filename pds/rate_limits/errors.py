"""The error of a client that has come too often."""

from __future__ import annotations


class TooManyRequests(Exception):
    """A rate limit is exceeded."""

    def __init__(self, retry_after_s: int | None = None) -> None:
        """`retry_after_s` tells when to come again; None if `headers.add_headers` tells it."""
        super().__init__("Rate Limit Exceeded")
        self.retry_after_s = retry_after_s
