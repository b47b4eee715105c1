"""Firehose consumers whose cursor is beyond the newest event: delayed, and logged once.

A consumer that has seen more events than exist is a sign that the event log was restored from an
older copy. Some consumers retry immediately, a thousand times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from pds.fairness.recent import Recent
from pds.monitoring.logs.sparse import SparseLines
from sequencer.run_state import MAX_RAISED_SEQ

MAX_DELAY_S: Final = 8.0
_REMEMBERED_S: Final = 60.0
_TOLD_S: Final = 86_400.0
_LINES: Final = 20
"""Log lines per `_LINES_S`, because anyone can send any cursor, from ever new addresses."""
_LINES_S: Final = 3_600.0

_log = structlog.get_logger(__name__)


class FutureCursors:
    """Counts such consumers by address. `now_s` is a monotonic clock."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._tries = Recent(_REMEMBERED_S, now_s=now_s)
        self._told = Recent(_TOLD_S, now_s=now_s)
        self._lines = SparseLines(_LINES, _LINES_S, now_s=now_s)

    def note(
        self, group: str, *, cursor: int, newest: int, client: str, user_agent: str | None
    ) -> float:
        """Log the consumer, and return by how many seconds to delay the refusal.

        The first refusal is not delayed; each further one soon after waits twice as long.
        """
        tries = self._tries.of(group)
        self._tries.add((group,))
        if not self._told.of(group) and self._lines.admit() is not None:
            self._told.add((group,))
            _tell(cursor, newest, client=client, user_agent=user_agent)
        return min(MAX_DELAY_S, 2.0 ** (min(tries, 10) - 1)) if tries else 0.0


def _tell(cursor: int, newest: int, *, client: str, user_agent: str | None) -> None:
    remedy = (
        f"If it is a relay of yours, sequencer.sqlite is older than what the relay has seen: give "
        f"the command `pds sequencer raise {cursor}`, and it gets every event from then on. "
        "Anybody can name such a number; from a stranger it means nothing."
        if cursor <= MAX_RAISED_SEQ
        else "None: no server gets as far as that."
    )
    _log.warning(
        "a consumer of the firehose asks for events that there have never been",
        client=client,
        user_agent=user_agent,
        cursor=cursor,
        newest_seq=newest,
        remedy=remedy,
    )
