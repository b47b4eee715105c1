"""Mails that no answer waits for, because the wait would tell whether there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Final

import structlog

from pds.mail.message import InvalidMail
from pds.mail.transport import MailNotSent

MAX_AT_ONCE: Final = 64
_STOP_S: Final = 5.0

_log = structlog.get_logger(__name__)


class BackgroundMails:
    """Sends mails beside the requests that cause them; the log tells of failures."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, sending: Coroutine[None, None, None], *, about: str) -> None:
        """Send a mail. `about` is for the log: what kind it is."""
        if len(self._tasks) >= MAX_AT_ONCE:
            sending.close()
            _log.error("a mail was not sent: too many are on their way", kind=about)
            return
        task = asyncio.create_task(self._send(sending, about))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait a moment for the mails on their way, then give up on them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_STOP_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _send(self, sending: Coroutine[None, None, None], about: str) -> None:
        try:
            await sending
        except (InvalidMail, MailNotSent) as exc:
            _log.warning("a mail was not sent", kind=about, reason=str(exc))
