"""The interface of replay stores, and the keys that they remember."""

from __future__ import annotations

import hashlib
from typing import Protocol


class ReplayStore(Protocol):
    """Remembers values for a while, for all processes of the server."""

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        """Whether a value is new in its namespace; if so, it is remembered for `ttl_s` seconds.

        Of several calls at once with one value, one gets True. Raises `ReplayStoreFailed`.
        """

    async def close(self) -> None:
        """End connections and close files. Closing twice is harmless."""


def key_of(namespace: str, value: str) -> bytes:
    """Return what a store remembers of a value: 16 bytes, however long the value is."""
    # The length keeps one namespace's values apart from those of any other.
    text = f"{len(namespace)}:{namespace}:{value}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:16]
