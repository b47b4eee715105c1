"""The interface of replay stores."""

from __future__ import annotations

from typing import Protocol


class ReplayStore(Protocol):
    """Remembers values for a while, for all processes of the server."""

    async def unique(self, namespace: str, value: str, ttl_s: float) -> bool:
        """Whether a value is new in its namespace; if so, it is remembered for `ttl_s` seconds.

        Of several calls at once with one value, one gets True. Raises `DatabaseError`.
        """

    async def close(self) -> None:
        """End connections and close files. Closing twice is harmless."""
