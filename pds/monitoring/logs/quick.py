"""Logs for frequent lines of the same kind, such as one for each request.

Going through structlog takes 40 microseconds more, a quarter of a quick request: see
`benchmarks/README.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Protocol

import structlog

from pds.monitoring.logs.destination import LogDestination
from pds.monitoring.logs.lines import JsonLines

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_DEBUG_AND_INFO: Final = frozenset({"debug", "info"})


class Log(Protocol):
    """Accepts lines of one logger at the levels debug and info."""

    levels: frozenset[str]
    """The levels that are shown: callers need not build lines of other levels."""

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """Write a line; `event` is one of the fields."""
        ...


class QuickLog:
    """A `Log` that buffers lines and writes them as JSON in batches."""

    def __init__(
        self,
        name: str,
        destination: LogDestination,
        lines: JsonLines,
        *,
        levels: frozenset[str],
        more: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """`more` fields are in every line."""
        self.levels = levels
        self._more = more
        self._name = name
        self._destination = destination
        self._lines = lines

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """See `Log.write`. Needs a running event loop."""
        now = self._lines.clock()
        if self._more:
            fields = {**fields, **self._more}
        # Rendered when written: a batch costs a quarter of the same lines rendered one by one.
        self._destination.write_soon(partial(self._lines.render, level, self._name, fields, now))


class PlainLog:
    """A `Log` that passes its lines to structlog, for terminals and for tests."""

    def __init__(self, name: str) -> None:
        self.levels = _DEBUG_AND_INFO
        self._log = structlog.get_logger(name)

    def write(self, level: str, fields: Mapping[str, Any]) -> None:
        """See `Log.write`."""
        getattr(self._log, level)(**fields)
