"""Logs for lines that are many and all alike, such as one for each request.

Going through structlog takes 40 microseconds more, a quarter of a quick request: see
`benchmarks/README.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Protocol

import structlog

from pds.monitoring.logs.destination import LogDestination
from pds.monitoring.logs.lines import JsonLines

_DEBUG_AND_INFO: Final = frozenset({"debug", "info"})


class Log(Protocol):
    """Takes lines of one logger at the levels debug and info."""

    levels: frozenset[str]
    """Those that may be shown: nobody needs to make lines of another."""

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """Write a line; `event` is one of the fields."""
        ...


class QuickLog:
    """A `Log` that writes JSON, a moment later and many lines at once."""

    def __init__(
        self,
        name: str,
        destination: LogDestination,
        lines: JsonLines,
        *,
        levels: frozenset[str],
    ) -> None:
        self.levels = levels
        self._name = name
        self._destination = destination
        self._lines = lines

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """See `Log.write`. Needs a running event loop."""
        now = self._lines.clock()
        # Rendered when it is written: many lines in a row cost a quarter of as many by themselves.
        self._destination.write_soon(partial(self._lines.render, level, self._name, fields, now))


class PlainLog:
    """A `Log` that hands its lines to structlog, for terminals and for tests."""

    def __init__(self, name: str) -> None:
        self.levels = _DEBUG_AND_INFO
        self._log = structlog.get_logger(name)

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """See `Log.write`."""
        getattr(self._log, level)(**fields)
