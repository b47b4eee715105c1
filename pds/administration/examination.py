"""`pds doctor` beside a running server: one at a time, in a process of its own, its result kept.

A process of its own because closing a file drops every POSIX lock that the same process holds on
it (see `pds.doctor`), and because nothing then holds the event loop. The table says whether one
runs, so that the processes of a server start only one together.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from database.connection import Database
from database.errors import DatabaseError
from database.retry import write
from database.timestamps import Clock
from pds.config.env_file import VARIABLE as ENV_FILE

COMMAND: Final = (sys.executable, "-P", "-m", "pds", "doctor", "--json")
LONGEST_S: Final = 30 * 60.0
"""A large server takes minutes. One that runs longer is ended, and one that a crash has left
behind counts as ended."""
FINDINGS: Final = 500
"""How many findings are kept; the problems first."""
_OUTPUT_BYTES: Final = 16 * 1024 * 1024
_ERROR_CHARACTERS: Final = 1000
_NICENESS: Final = 10
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS holdfast_examination (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  startedAt INTEGER NOT NULL,
  finishedAt INTEGER,
  problem TEXT NOT NULL,
  report TEXT NOT NULL
) STRICT
"""
_BEGIN: Final = (
    "INSERT INTO holdfast_examination (id, startedAt, finishedAt, problem, report)"
    " VALUES (1, ?1, NULL, '', '')"
    " ON CONFLICT (id) DO UPDATE SET startedAt = ?1, finishedAt = NULL"
    " WHERE finishedAt IS NOT NULL OR startedAt < ?2"
)
_FINISH: Final = (
    "UPDATE holdfast_examination SET finishedAt = ?, problem = ?, report = ? WHERE startedAt = ?"
)

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class FindingText:
    """A finding of `pds doctor`, as text."""

    check: str
    subject: str
    status: str
    message: str
    remedy: str


@dataclass(slots=True, frozen=True)
class Examination:
    """The newest examination. Times are seconds since the Unix epoch."""

    started_at: int
    finished_at: int | None
    """None while it runs; the findings are those of the one before then."""
    problem: str
    """Why there are no findings; else empty."""
    summary: Mapping[str, int]
    findings: Sequence[FindingText]
    left_out: int
    """How many more findings there were."""


class Examinations:
    """Starts an examination, and reads its result."""

    def __init__(
        self,
        db: Database,
        *,
        command: Sequence[str] = COMMAND,
        clock: Clock = time.time,
        longest_s: float = LONGEST_S,
    ) -> None:
        """Create the table if necessary."""
        self._db = db
        self._command = tuple(command)
        self._clock = clock
        self._longest_s = longest_s
        self._task: asyncio.Task[None] | None = None
        self.environ: Mapping[str, str] | None = None
        """The settings for the other process, which `pds serve` knows; without, none is started."""
        db.run(_SCHEMA)

    async def begin(self, *, offline: bool) -> bool:
        """Start an examination; return whether one was started: not while another one runs."""
        if self.environ is None:
            return False
        now_s = int(self._clock())

        def begin() -> bool:
            self._db.run(_BEGIN, (now_s, now_s - int(self._longest_s) - 60))
            return self._db.changes > 0

        if not await write(self._db, begin):
            return False
        self._task = asyncio.create_task(self._run(now_s, self.environ, offline=offline))
        return True

    def newest(self) -> Examination | None:
        """Return the newest examination; None if there never was one."""
        row = self._db.one(
            "SELECT startedAt, finishedAt, problem, report FROM holdfast_examination WHERE id = 1"
        )
        if row is None:
            return None
        started_at, finished_at, problem, report = row
        read: dict[str, Any] = orjson.loads(report) if report else {}
        if finished_at is None and started_at < self._clock() - self._longest_s - 60:
            finished_at, problem = started_at, "It was cut off, as by a stop of the server."
        return Examination(
            started_at,
            finished_at,
            problem,
            read.get("summary", {}),
            [FindingText(*each) for each in read.get("findings", [])],
            read.get("leftOut", 0),
        )

    async def finished(self) -> None:
        """Wait until the examination that this process has started is over."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def close(self) -> None:
        """End a running examination."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self, started_at: int, environ: Mapping[str, str], *, offline: bool) -> None:
        problem, report = "It was cut off by a stop of the server.", ""
        try:
            report = await asyncio.to_thread(_shortened, await self._examine(environ, offline))
            problem = ""
        except _Failed as exc:
            problem = str(exc)
        finally:
            row = (int(self._clock()), problem, report, started_at)
            try:
                await write(self._db, lambda: self._db.run(_FINISH, row))
            except DatabaseError as exc:
                _log.warning("the result of an examination is lost", reason=str(exc))

    async def _examine(self, environ: Mapping[str, str], offline: bool) -> bytes:
        """Return what the other process prints. Raises `_Failed`."""
        # Not the file again, which may have changed; nor systemd's socket, which is the server's.
        own = {**environ, ENV_FILE: os.devnull}
        own.pop("NOTIFY_SOCKET", None)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *(("--offline",) if offline else ()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=own,
                start_new_session=True,
            )
        except OSError as exc:
            raise _Failed(f"It cannot be started: {exc.strerror}") from exc
        with suppress(OSError):
            # Requests come first. Its own children, which read the stores, inherit it.
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        readers = [asyncio.create_task(_read(each)) for each in (process.stdout, process.stderr)]
        try:
            return await self._output_of(process, readers)
        finally:
            await _end(process, readers)

    async def _output_of(
        self, process: asyncio.subprocess.Process, readers: list[asyncio.Task[bytes]]
    ) -> bytes:
        try:
            async with asyncio.timeout(self._longest_s):
                output, errors = await asyncio.gather(*readers)
                status = await process.wait()
        except TimeoutError:
            raise _Failed(f"It took more than {self._longest_s / 60:.0f} minutes") from None
        if status not in (0, 1):
            words = errors.decode("utf-8", "replace").strip()[-_ERROR_CHARACTERS:]
            raise _Failed(words or f"It ended with status {status}")
        return output


class _Failed(Exception):
    """There are no findings; the message says why."""


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    parts, size = [], 0
    while stream is not None and (part := await stream.read(64 * 1024)):
        size += len(part)
        if size > _OUTPUT_BYTES:
            raise _Failed("It has found more than fits here: run `pds doctor` on the machine")
        parts.append(part)
    return b"".join(parts)


async def _end(process: asyncio.subprocess.Process, readers: list[asyncio.Task[bytes]]) -> None:
    """End the process, with its own children, if it has not ended."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    for stream in (process.stdout, process.stderr):
        # The process counts as running until somebody has read to the end of its pipes.
        while stream is not None and await stream.read(64 * 1024):
            pass
    await process.wait()


def _shortened(output: bytes) -> str:
    """Return the JSON to keep, made from that of `pds doctor`. Raises `_Failed`."""
    try:
        report = orjson.loads(output)
        found = [
            (each["check"], each["subject"], each["status"], each["message"], each["remedy"])
            for each in report["findings"]
        ]
        summary = {str(status): int(count) for status, count in report["summary"].items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as exc:
        raise _Failed("Its output could not be read") from exc
    order = {"error": 0, "warning": 1, "skipped": 2}
    found.sort(key=lambda each: order.get(each[2], 3))
    kept = {
        "summary": summary,
        "findings": found[:FINDINGS],
        "leftOut": max(0, len(found) - FINDINGS),
    }
    return orjson.dumps(kept).decode()
