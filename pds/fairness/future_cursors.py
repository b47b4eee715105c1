"""Firehose consumers whose cursor is beyond the newest event: slowed down, and logged once.

A consumer that has seen more events than exist is a sign that the event log is an older copy. Some
retry at once, a thousand times a second.
"""

from __future__ import annotations

from typing import Final

import structlog

from pds.fairness.recent import Recent
from pds.monitoring.logs.sparse import SparseLines
from sequencer.run_state import MAX_RAISED_SEQ

MAX_DELAY_S: Final = 8.0
_REMEMBERED_S: Final = 60.0
_TOLD_S: Final = 86_400.0
_LINES: Final = 20
"""Log lines per `_LINES_S`: anybody can send any cursor, from ever new addresses."""
_LINES_S: Final = 3_600.0

_log = structlog.get_logger(__name__)


class FutureCursors:
    """Counts such consumers by address."""

    def __init__(self) -> None:
        self._tries = Recent(_REMEMBERED_S)
        self._told = Recent(_TOLD_S)
        self._lines = SparseLines(_LINES, _LINES_S)

    def note(
        self, group: str, *, cursor: int, newest: int, client: str, user_agent: str | None
    ) -> float:
        """Log it for the operator, and return by how many seconds to delay the refusal.

        The first refusal is not delayed; the delay doubles for a consumer that soon returns.
        """
        tries = self._tries.of(group)
        self._tries.add((group,))
        if not self._told.of(group) and self._lines.admit() is not None:
            self._told.add((group,))
            _tell(cursor, newest, client=client, user_agent=user_agent)
        return min(MAX_DELAY_S, 2.0 ** (min(tries, 10) - 1)) if tries else 0.0


def _tell(cursor: int, newest: int, *, client: str, user_agent: str | None) -> None:
    remedy = (
        f"If this is your relay, sequencer.sqlite is older than what the relay has seen: run "
        f"`pds sequencer raise {cursor}`, and it receives every event from then on. "
        "Anybody can send any cursor; from a stranger it means nothing."
        if cursor <= MAX_RAISED_SEQ
        else "None: no server ever reaches that seq."
    )
    _log.warning(
        "a firehose consumer requests events that never existed",
        client=client,
        user_agent=user_agent,
        cursor=cursor,
        newest_seq=newest,
        remedy=remedy,
    )
