"""The destination of log lines: standard error, or a file that may be rotated while in use."""

from __future__ import annotations

import asyncio
import os
import select
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

Render: TypeAlias = Callable[[], bytes]
"""Renders a line when it is written."""

_MODE: Final = 0o640
"""Mode of a new log file. Not every user may read it, because it names accounts and addresses."""
_STANDARD_ERROR: Final = 2
_SOON_S: Final = 0.1
_MOST_WAITING: Final = 256
_MOST_BYTES: Final = 1 << 20


class LogDestination:
    """Accepts whole lines, without their line ends. Threads may share it."""

    def __init__(self, path: Path | None = None) -> None:
        """Append to the file `path`; None stands for standard error. Raises `OSError`."""
        self.path = path
        self._descriptor = _open(path)
        # Several processes may write there. A file takes each write as a whole, a pipe small ones.
        self._most_bytes = select.PIPE_BUF if path is None else _MOST_BYTES
        self._waiting: deque[bytes | Render] = deque()
        self._flush_is_due = False

    @property
    def is_terminal(self) -> bool:
        """Whether the destination is a terminal, so that a person is likely to read along."""
        return os.isatty(self._descriptor)

    def write(self, line: bytes) -> None:
        """Write one line, after those that are buffered."""
        self._waiting.append(line)
        self.flush()

    def write_soon(self, line: Render) -> None:
        """Buffer the line that `line` renders, and write it with others within a tenth of a second.

        Call it only on the event loop. Buffered lines are lost if the process is killed.
        """
        self._waiting.append(line)
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_later(_SOON_S, self._flush_on_time)

    def flush(self) -> None:
        """Write all buffered lines."""
        lines = []
        # One by one, because another thread may be flushing as well.
        with suppress(IndexError):
            while True:
                line = self._waiting.popleft()
                lines.append(line if isinstance(line, bytes) else line())
        # An unwritable log must not stop the server.
        with suppress(OSError):
            for data in _whole(lines, self._most_bytes):
                while data:
                    data = data[os.write(self._descriptor, data) :]

    def reopen(self) -> None:
        """Continue in a new file if the old one was moved away, as by logrotate.

        Raises `OSError`; lines then still go to the old file. Standard error is left unchanged.
        """
        self.flush()
        if self.path is not None:
            # The new file gets the old one's mode, whatever umask the process has now.
            new = _open(self.path, mode=stat.S_IMODE(os.fstat(self._descriptor).st_mode))
            # Atomically: a thread that is about to write must not find the descriptor reused for
            # another file.
            os.dup2(new, self._descriptor, inheritable=False)
            os.close(new)

    def _flush_on_time(self) -> None:
        self._flush_is_due = False
        self.flush()


class NamedLoggers:
    """Creates the loggers that structlog requests, each with its name."""

    def __init__(self, destination: LogDestination) -> None:
        self._destination = destination

    def __call__(self, *names: Any) -> NamedLogger:
        return NamedLogger(names[0] if names else "", self._destination)


class NamedLogger:
    """The backend of a structlog logger, which accepts rendered lines of any level."""

    def __init__(self, name: str, destination: LogDestination) -> None:
        self.name = name
        self._destination = destination

    def msg(self, line: str | bytes) -> None:
        """Write a line, without its line end."""
        if isinstance(line, str):
            line = line.encode(errors="backslashreplace")
        self._destination.write(line)

    debug = info = warning = error = critical = exception = msg


def _whole(lines: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Yield the lines with their ends, together as far as they are not longer than that."""
    parts: list[bytes] = []
    size = 0
    for line in lines:
        if parts and size + len(line) + 1 > most_bytes:
            yield b"".join(parts)
            parts, size = [], 0
        parts += (line, b"\n")
        size += len(line) + 1
    if parts:
        yield b"".join(parts)


def _open(path: Path | None, *, mode: int | None = None) -> int:
    """Open a descriptor. A new file gets exactly `mode`, if given, whatever the umask is."""
    if path is None:
        return _STANDARD_ERROR
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    if mode is not None:
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_EXCL, mode)
            os.fchmod(descriptor, mode)
            return descriptor
    return os.open(path, flags, _MODE)
