"""Connections from addresses that no test can have."""

from __future__ import annotations

import asyncio
from typing import Any


class _Transport(asyncio.Transport):
    def __init__(self, peer: str) -> None:
        super().__init__()
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._peer, 40_000) if name == "peername" else default


def transport_from(peer: str) -> asyncio.Transport:
    """One end of a connection whose other end is `peer`; empty for a Unix socket."""
    return _Transport(peer)
