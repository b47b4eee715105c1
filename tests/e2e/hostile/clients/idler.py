"""Holds connections open that ask for nothing, and opens others for those that are closed.

    python -m tests.e2e.hostile.clients.idler HOST PORT CONNECTIONS

Ends by itself after `_LIFE_S`.
"""

from __future__ import annotations

import asyncio
import sys

from tests.e2e.hostile.clients.kept import keep

_LIFE_S = 300.0
_PAUSE_S = 0.01


if __name__ == "__main__":
    host, *numbers = sys.argv[1:]
    asyncio.run(keep(host, *map(int, numbers), pause_s=_PAUSE_S, life_s=_LIFE_S))
