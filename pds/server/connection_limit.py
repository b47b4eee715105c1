"""How many connections the server has, so that they never use up the limit of open files.

A client may keep its connection while it asks for nothing, but not at the cost of others: beyond
the limit those that have idled longest are closed. If all are busy, a few more are taken. Who asks
on one of these is told so, unless another client has more connections, of which one is cut off; and
health checks are answered as long as the server can do its work.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection
from typing import Final, Protocol

import structlog

from database.open_files import REMEDY, OpenFiles
from pds.fairness.crowds import Crowds
from pds.monitoring.logs.sparse import SparseLines

_OTHER_FILES: Final = 96
"""What the server has open beside connections, at least."""
_MIN_CONNECTIONS: Final = 8
_MAX_CONNECTIONS: Final = 4_096
"""Each may hold 150 KB for as long as its request comes in."""
_SURPLUS: Final = 8
"""One in so many connections is taken beyond the limit. Many may come before the first is read."""
FRESH_S: Final = 0.1
"""The request of a connection that has just been made may be there, and only not have been read."""
_AT_ONCE: Final = 16
"""One in so many connections is closed at a time, so that not each new one has to look for one."""
_SHARE_OF_TIME: Final = 20
"""Looking at all connections takes at most one part in so many of the time."""
_WARN_EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Connection(Protocol):
    """What there is to know of a connection."""

    @property
    def is_idle(self) -> bool:
        """Whether it does nothing but wait for the rest of a request."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it has not been told to close."""
        ...

    @property
    def unused_s(self) -> float:
        """The time since its last request was answered, or since it was made."""
        ...

    @property
    def client(self) -> str | None:
        """Whom the request under way is from, as clients are counted; None if there is none."""
        ...

    def force_close(self) -> None: ...

    def cut_off(self) -> None:
        """End the connection, whatever it does."""
        ...


class ConnectionLimit:
    """Decides on every new connection of a server."""

    def __init__(self, files: OpenFiles) -> None:
        self._files = files
        half = max(_MIN_CONNECTIONS, (files.limit - _OTHER_FILES) // 2)
        self.max_connections = min(half, _MAX_CONNECTIONS)
        """At most a half, for a request may need as many files more: a database, a blob."""
        self._least_surplus = files.spare // 4
        self._most_surplus = max(self._least_surplus, self.max_connections // _SURPLUS)
        self._surplus: dict[Connection, None] = {}
        self._look_at = defaultdict[float, float](float)
        """When to look again for connections that have been unused for so many seconds."""
        self._count_at = 0.0
        self._busy = Crowds[Connection](())
        """By client, as of when they were last counted."""
        self._warnings = SparseLines(1, _WARN_EVERY_S)

    def admit(self, connection: Connection, others: Collection[Connection]) -> bool:
        """Whether a new connection may ask for anything; if not, it is one too many.

        `others` are those of the server, with or without it. Closes what has to give way, perhaps
        the very one.
        """
        self._files.note_opened(1)
        has_room = self._files.has_room_for_connection()
        if (len(others) <= self.max_connections and has_room) or self._close_idle(
            others, unused_s=FRESH_S
        ):
            return True
        self._warn()
        self._surplus[connection] = None
        if len(self._surplus) > (self._most_surplus if has_room else self._least_surplus):
            # The oldest that waits for its request; else the new one, for which there is no place.
            idle = next((each for each in self._surplus if each.is_idle), connection)
            self._surplus.pop(idle)
            idle.force_close()
        return False

    def forget(self, connection: Connection) -> None:
        """A connection has ended."""
        self._surplus.pop(connection, None)
        self._busy.leave(connection)

    def make_way(self, connection: Connection, client: str, others: Collection[Connection]) -> bool:
        """Whether one of `others` ends for `connection`, a surplus one, which is kept then.

        It is a busy one of the client that has most, if that has more than `client`; else one that
        asks for nothing.
        """
        now, began = time.monotonic(), time.thread_time()
        if now >= self._count_at:
            busy = ((each.client, each) for each in others if each not in self._surplus)
            self._busy = Crowds((client, each) for client, each in busy if client is not None)
            took_s = time.thread_time() - began
            self._count_at = now + took_s * _SHARE_OF_TIME
        chosen = self._choose(client)
        if chosen is None:
            if not self._close_idle(others, unused_s=0.0):
                return False
        # It may idle by now, which makes as much room.
        elif chosen.client is not None:
            chosen.cut_off()
        self._surplus.pop(connection, None)
        self._busy.join(client, connection)
        return True

    def _choose(self, client: str) -> Connection | None:
        """One that gives way to `client`, and does not carry somebody else's request by now."""
        while (chosen := self._busy.give_way_to(client)) is not None:
            counted_for, connection = chosen
            present = connection.client
            if present is None or present == counted_for:
                return connection
            self._busy.join(present, connection)
        return None

    def _close_idle(self, connections: Collection[Connection], *, unused_s: float) -> bool:
        """Close those that have idled longest, and for so long at least, if that makes room."""
        now, began = time.monotonic(), time.thread_time()
        if now < self._look_at[unused_s]:
            return False
        still_open = sum(each.is_open for each in connections)
        excess = max(1, still_open - self.max_connections)
        idle = sorted(
            (each for each in connections if each.is_idle and each.unused_s >= unused_s),
            key=lambda each: each.unused_s,
            reverse=True,
        )
        for each in idle[: excess + self.max_connections // _AT_ONCE]:
            each.force_close()
        if len(idle) >= excess:
            return True
        self._look_at[unused_s] = now + (time.thread_time() - began) * _SHARE_OF_TIME
        return False

    def _warn(self) -> None:
        if self._warnings.admit() is not None:
            _log.warning(
                "connections are refused",
                connections=self.max_connections,
                open_files=self._files.limit,
                remedy=f"If they are not an attack, {REMEDY}.",
            )
