"""Where log lines go: standard error, or a file that can be moved away while it is written to."""

from __future__ import annotations

import asyncio
import os
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

Render: TypeAlias = Callable[[], bytes]
"""Makes a line when it is written."""

_MODE: Final = 0o640
"""Of a new log file: it names accounts and addresses, which are not for every user."""
_STANDARD_ERROR: Final = 2
_SOON_S: Final = 0.1
_MOST_WAITING: Final = 256


class LogDestination:
    """Takes whole lines, given without their ends. Threads may share it."""

    def __init__(self, path: Path | None = None) -> None:
        """Append to the file `path`; None stands for standard error. Raises `OSError`."""
        self.path = path
        self._descriptor = _open(path)
        self._waiting: deque[bytes | Render] = deque()
        self._flush_is_due = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person is likely to read along."""
        return os.isatty(self._descriptor)

    def write(self, line: bytes) -> None:
        """Write one line, and all that waits to be written before it."""
        self._waiting.append(line)
        self.flush()

    def write_soon(self, line: Render) -> None:
        """Write the line that `line` gives within a tenth of a second, together with others.

        Only for the event loop. What waits is lost if the process is killed.
        """
        self._waiting.append(line)
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()
        elif not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_later(_SOON_S, self._flush_on_time)

    def flush(self) -> None:
        """Write all that waits."""
        lines = []
        # One by one, for another thread may be at it as well.
        with suppress(IndexError):
            while True:
                line = self._waiting.popleft()
                lines.append(line if isinstance(line, bytes) else line())
        data = b"".join([line + b"\n" for line in lines])
        # A log that cannot be written must not keep the server from its work.
        with suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]

    def reopen(self) -> None:
        """Go on in a new file if the old one was moved away, as logrotate does.

        Raises `OSError`; lines then still go to the old file. Standard error stays what it is.
        """
        self.flush()
        if self.path is not None:
            # As open as the file before, whatever umask the process has now.
            new = _open(self.path, mode=stat.S_IMODE(os.fstat(self._descriptor).st_mode))
            # In one step: a thread that is about to write must not find the number given to
            # another file.
            os.dup2(new, self._descriptor, inheritable=False)
            os.close(new)

    def _flush_on_time(self) -> None:
        self._flush_is_due = False
        self.flush()


class NamedLoggers:
    """Makes the loggers that structlog asks for, each with its name."""

    def __init__(self, destination: LogDestination) -> None:
        self._destination = destination

    def __call__(self, *names: Any) -> NamedLogger:
        return NamedLogger(names[0] if names else "", self._destination)


class NamedLogger:
    """What is under a structlog logger: takes rendered lines of any level."""

    def __init__(self, name: str, destination: LogDestination) -> None:
        self.name = name
        self._destination = destination

    def msg(self, line: str | bytes) -> None:
        """Write a line, given without its end."""
        if isinstance(line, str):
            line = line.encode(errors="backslashreplace")
        self._destination.write(line)

    debug = info = warning = error = critical = exception = msg


def _open(path: Path | None, *, mode: int | None = None) -> int:
    """A descriptor. A new file has exactly `mode`, if one is given, whatever the umask is."""
    if path is None:
        return _STANDARD_ERROR
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    if mode is not None:
        with suppress(FileExistsError):
            descriptor = os.open(path, flags | os.O_EXCL, mode)
            os.fchmod(descriptor, mode)
            return descriptor
    return os.open(path, flags, _MODE)
