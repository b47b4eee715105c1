"""Removing sessions that are over, now and then, for as long as the server runs."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from database.errors import DatabaseError
from pds.oauth.tokens.tokens import OAuthTokens

_FIRST_S: Final = 5 * 60.0
_EVERY_S: Final = 24 * 60 * 60.0

_log = structlog.get_logger(__name__)


class SessionSweep:
    """Looks for sessions to remove every day. Belongs to one event loop."""

    def __init__(
        self, tokens: OAuthTokens, *, first_s: float = _FIRST_S, every_s: float = _EVERY_S
    ) -> None:
        """Begin `first_s` seconds after the start."""
        self._tokens = tokens
        self._first_s = first_s
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sweep periodically, until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop sweeping. Closing twice is harmless."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def _go_on(self) -> None:
        await asyncio.sleep(self._first_s)
        while True:
            try:
                removed = await self._tokens.remove_expired()
            except DatabaseError as exc:
                _log.warning("OAuth sessions were not swept", reason=str(exc))
            else:
                if removed:
                    _log.info("removed OAuth sessions that were over", sessions=removed)
            await asyncio.sleep(self._every_s)
