"""Configuring the logs of a process: which lines are shown, their format and destination."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog

from pds.monitoring.logs.destination import LogDestination, NamedLoggers
from pds.monitoring.logs.lines import JsonLines
from pds.monitoring.logs.quick import Log, PlainLog, QuickLog
from pds.monitoring.logs.systems import Systems

_LIBRARY: Final = logging.WARNING
"""The threshold for third-party libraries: only their warnings concern an operator."""
_OWN_PACKAGES: Final = frozenset({"database", "actor_store", "sequencer", "identity", "pds"})

_log = structlog.get_logger(__name__)


class Logs:
    """The configured logs of this process."""

    def __init__(self, destination: LogDestination, threshold: int, systems: Systems) -> None:
        self._destination = destination
        self._threshold = threshold
        self._systems = systems
        self.lines = JsonLines()
        self.after_reopening: list[Callable[[], None]] = []
        """Called after the file was reopened, for other processes that write to it."""

    @property
    def are_in_file(self) -> bool:
        """Whether they are written to a file rather than standard error."""
        return self._destination.path is not None

    def quick(self, name: str, **more: Any) -> Log:
        """Return a log for frequent lines of the logger `name`, each with `more` fields.

        On a terminal, these fields are those of the context.
        """
        if self._destination.is_terminal:
            return PlainLog(name)
        levels = frozenset(
            level
            for level, number in (("debug", logging.DEBUG), ("info", logging.INFO))
            if number >= self._threshold and self._systems.show(name)
        )
        return QuickLog(name, self._destination, self.lines, levels=levels, more=more)

    def reopen(self) -> None:
        """Continue in a new file if the old one was moved away."""
        try:
            self._destination.reopen()
        except OSError as exc:
            _log.error("the log file cannot be reopened", file=exc.filename, reason=exc.strerror)
        for tell in self.after_reopening:
            tell()

    def flush(self) -> None:
        """Write the buffered lines."""
        self._destination.flush()


def configure_logs(
    *,
    level: str = "info",
    enabled: bool = True,
    systems: str | None = None,
    destination: str | None = None,
) -> Logs:
    """Send the logs of this process to a file, or to standard error. Raises `OSError`.

    `level` is one of debug, info, warning, error. If `enabled` is false, only errors are shown. Of
    loggers that are not in `systems`, only errors are shown as well; None includes all loggers.
    """
    threshold = getattr(logging, level.upper(), logging.INFO) if enabled else logging.ERROR
    target = LogDestination(Path(destination) if destination else None)
    logs = Logs(target, threshold, Systems(systems))
    structlog.configure(
        processors=[
            *Systems(systems).processors(),
            structlog.contextvars.merge_contextvars,
            *(_FOR_PEOPLE if target.is_terminal else [logs.lines]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=NamedLoggers(target),
    )
    _listen_to_standard_library(threshold)
    return logs


_FOR_PEOPLE: Final[list[structlog.typing.Processor]] = [
    structlog.processors.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.dev.ConsoleRenderer(),
]


class StandardLibrary(logging.Handler):
    """Forwards records of `logging`, from the packages below `pds` and from libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as if it had been logged with structlog."""
        if record.levelno < _LIBRARY and record.name.partition(".")[0] not in _OWN_PACKAGES:
            return
        log = structlog.get_logger(record.name)
        if record.exc_info:
            log.log(record.levelno, record.getMessage(), exc_info=record.exc_info)
        else:
            log.log(record.levelno, record.getMessage())


def _listen_to_standard_library(threshold: int) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, StandardLibrary):
            root.removeHandler(handler)
    root.addHandler(StandardLibrary())
    root.setLevel(threshold)
