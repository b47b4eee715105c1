"""Litestream's log lines, among those of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import orjson
import structlog

from pds.replication.litestream.messages import printable

_LEVELS: Final[Mapping[str, int]] = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_EXPECTED: Final = frozenset({"no databases specified in configuration"})
"""Errors to Litestream that are our way of using it."""
_FIELDS: Final = frozenset(
    (
        *("db", "path", "error", "hint", "replica", "consecutive_errors", "attempts"),
        *("previous_errors", "size", "db_txid", "replica_txid", "bucket", "signal", "dbs"),
    )
)
"""What is passed on of a line; the rest, such as parts of the program, helps no operator."""
_SDK: Final = "SDK "
"""How Amazon's library begins what it prints by itself: it falls back to another way."""
_MAX_LINE_BYTES: Final = 64 * 1024
_BURST: Final = 30
_LINES_A_SECOND: Final = 1.0

_log = structlog.get_logger(__name__)


class DaemonLog:
    """What a daemon prints, passed on to our log; with many databases, only a part of it.

    All databases fail when the place of the replica does, so that one line a second will do after
    some. How many were left out is logged with the next that is not.
    """

    def __init__(self, daemon: str) -> None:
        self._daemon = daemon
        self._allowed = float(_BURST)
        self._counted_at = 0.0
        self.suppressed = 0
        """Lines left out since the last one."""
        self.last_error: str | None = None
        """The newest line of level error, or text that is no line of a log."""

    async def follow(self, stream: asyncio.StreamReader) -> None:
        """Pass on lines until the daemon closes the stream."""
        async for line in _lines(stream):
            self.take(line, now_s=asyncio.get_running_loop().time())

    def take(self, line: bytes, *, now_s: float) -> None:
        """Pass on one line, unless there were too many."""
        level, message, fields = _parse(line)
        if not message or message in _EXPECTED:
            return
        if level >= logging.ERROR:
            reason = fields.get("error")
            self.last_error = f"{message}: {reason}" if reason else message
        if not self._allow(now_s):
            self.suppressed += 1
            return
        if self.suppressed:
            fields["suppressed"] = self.suppressed
            self.suppressed = 0
        _log.log(level, f"litestream: {message}", daemon=self._daemon, **fields)

    def _allow(self, now_s: float) -> bool:
        gained = max(0.0, now_s - self._counted_at) * _LINES_A_SECOND
        self._allowed = min(float(_BURST), self._allowed + gained)
        self._counted_at = now_s
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True


def _parse(line: bytes) -> tuple[int, str, dict[str, Any]]:
    """Return level, message and fields of a line."""
    try:
        read = orjson.loads(line)
    except orjson.JSONDecodeError:
        read = None
    if not isinstance(read, dict) or "msg" not in read:
        # What Go prints when a program ends badly, or an error before the log is set up.
        text = printable(line.decode(errors="replace").strip())
        return (logging.WARNING if text.startswith(_SDK) else logging.ERROR), text, {}
    fields = {
        name: printable(value) if isinstance(value, str) else value
        for name, value in read.items()
        if name in _FIELDS
    }
    level = _LEVELS.get(str(read.get("level", "")).upper(), logging.INFO)
    return level, printable(str(read["msg"])), fields


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines; the rest of an overlong one is left out."""
    buffer = b""
    is_rest = False
    while chunk := await stream.read(_MAX_LINE_BYTES):
        *whole, buffer = (buffer + chunk).split(b"\n")
        for line in whole:
            if not is_rest:
                yield line[:_MAX_LINE_BYTES]
            is_rest = False
        if len(buffer) > _MAX_LINE_BYTES:
            if not is_rest:
                yield buffer[:_MAX_LINE_BYTES]
            buffer, is_rest = b"", True
    if buffer and not is_rest:
        yield buffer
