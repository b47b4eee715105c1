"""A limit on connections, so that they never use up the limit of open files.

A client may keep an idle connection, but not at the cost of others: beyond the limit, those that
have never sent a request are closed, then those that have idled longest. If all are busy, a few
surplus ones are accepted. A request on one of these is refused, unless another client has more
connections, in which case one of those is cut off. Health checks are answered as long as the
server can do its work.
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
"""The number of files the server has open besides connections, at least."""
_MIN_CONNECTIONS: Final = 8
_MAX_CONNECTIONS: Final = 4_096
"""Each connection may hold 150 KB while its request comes in."""
_SURPLUS: Final = 8
"""One in so many connections is accepted beyond the limit: many may come before one is read."""
FRESH_S: Final = 0.1
"""The request of a younger connection may have arrived already and just not have been read."""
KEPT_S: Final = 2.0
"""A client that has been answered may be about to ask again on the same connection."""
_AT_ONCE: Final = 16
"""One in so many connections is closed at a time, so that not every new one needs a search."""
_SHARE_OF_TIME: Final = 20
"""Scanning all connections takes at most one part in so many of the time."""
_WARN_EVERY_S: Final = 60.0

_log = structlog.get_logger(__name__)


class Connection(Protocol):
    """What the limit needs to know about a connection."""

    @property
    def is_idle(self) -> bool:
        """Whether the connection is only waiting for the rest of a request."""
        ...

    @property
    def has_asked(self) -> bool:
        """Whether a request has ever arrived."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether the connection has not been told to close."""
        ...

    @property
    def unused_s(self) -> float:
        """The time since the last answer, or since the connection was made."""
        ...

    @property
    def client(self) -> str | None:
        """The client of the request under way, as clients are counted; None without a request."""
        ...

    def force_close(self) -> None: ...

    def cut_off(self) -> None:
        """End the connection, whatever it is doing."""
        ...


class ConnectionLimit:
    """Decides on every new connection of a server."""

    def __init__(self, files: OpenFiles) -> None:
        self._files = files
        half = max(_MIN_CONNECTIONS, (files.limit - _OTHER_FILES) // 2)
        self.max_connections = min(half, _MAX_CONNECTIONS)
        """At most half, since a request may need as many files again: a database, a blob."""
        self._least_surplus = files.spare // 4
        self._most_surplus = max(self._least_surplus, self.max_connections // _SURPLUS)
        self._surplus: dict[Connection, None] = {}
        self._look_at = defaultdict[float, float](float)
        """When to scan again for idle connections, by how fresh they may be."""
        self._count_at = 0.0
        self._busy = Crowds[Connection](())
        """Busy connections by client, as of the last count."""
        self._warnings = SparseLines(1, _WARN_EVERY_S)

    def admit(self, connection: Connection, others: Collection[Connection]) -> bool:
        """Return whether a new connection may send requests; if not, it is a surplus one.

        `others` are the server's connections, with or without the new one. Closes connections to
        make room, perhaps the new one itself.
        """
        self._files.note_opened(1)
        has_room = self._files.has_room_for_connection()
        if (len(others) <= self.max_connections and has_room) or self._close_idle(
            others, fresh_s=FRESH_S, kept_s=KEPT_S
        ):
            return True
        self._warn()
        self._surplus[connection] = None
        if len(self._surplus) > (self._most_surplus if has_room else self._least_surplus):
            # Close the oldest one still waiting for its request; else the new one.
            idle = next((each for each in self._surplus if each.is_idle), connection)
            self._surplus.pop(idle)
            idle.force_close()
        return False

    def forget(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self._surplus.pop(connection, None)
        self._busy.leave(connection)

    def make_way(self, connection: Connection, client: str, others: Collection[Connection]) -> bool:
        """Return whether one of `others` was ended so that the surplus `connection` can stay.

        That is a busy connection of the client that has most, if it has more than `client`;
        otherwise an idle one.
        """
        now, began = time.monotonic(), time.thread_time()
        if now >= self._count_at:
            busy = ((each.client, each) for each in others if each not in self._surplus)
            self._busy = Crowds((client, each) for client, each in busy if client is not None)
            took_s = time.thread_time() - began
            self._count_at = now + took_s * _SHARE_OF_TIME
        chosen = self._choose(client)
        if chosen is None:
            if not self._close_idle(others, fresh_s=0.0, kept_s=0.0):
                return False
        # If it has become idle since, that makes as much room.
        elif chosen.client is not None:
            chosen.cut_off()
        self._surplus.pop(connection, None)
        self._busy.join(client, connection)
        return True

    def _choose(self, client: str) -> Connection | None:
        """Find a connection to give way to `client`, still serving the client it is counted for."""
        while (chosen := self._busy.give_way_to(client)) is not None:
            counted_for, connection = chosen
            present = connection.client
            if present is None or present == counted_for:
                return connection
            self._busy.join(present, connection)
        return None

    def _close_idle(
        self, connections: Collection[Connection], *, fresh_s: float, kept_s: float
    ) -> bool:
        """Close the idle connections that matter least, if that makes room.

        Spares those unused for less than `kept_s`, or `fresh_s` if they have never asked.
        """
        now, began = time.monotonic(), time.thread_time()
        if now < self._look_at[fresh_s]:
            return False
        still_open = sum(each.is_open for each in connections)
        excess = max(1, still_open - self.max_connections)
        idle = sorted(
            (
                each
                for each in connections
                if each.is_idle and each.unused_s >= (kept_s if each.has_asked else fresh_s)
            ),
            key=lambda each: (each.has_asked, -each.unused_s),
        )
        for each in idle[: excess + self.max_connections // _AT_ONCE]:
            each.force_close()
        if len(idle) >= excess:
            return True
        self._look_at[fresh_s] = now + (time.thread_time() - began) * _SHARE_OF_TIME
        return False

    def _warn(self) -> None:
        if self._warnings.admit() is not None:
            _log.warning(
                "connections are refused",
                connections=self.max_connections,
                open_files=self._files.limit,
                remedy=f"If they are not an attack, {REMEDY}.",
            )
