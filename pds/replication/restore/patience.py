"""Reading from a replica whose place may be away for a moment: a few more tries, then an error.

The place itself tries again within seconds. A restore of hours should survive a restart of the
place as well, and no restore should wait for one that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica.place import ReplicaPlace, StoredFile

T = TypeVar("T")

DELAYS_S: Final = (1.0, 3.0, 10.0, 30.0)
"""Pauses before each further try, in seconds."""

_log = structlog.get_logger(__name__)


class PatientReader:
    """The reading half of a `ReplicaPlace`, with more tries where it is unavailable."""

    def __init__(
        self,
        place: ReplicaPlace,
        *,
        delays_s: tuple[float, ...] = DELAYS_S,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` waits for a number of seconds."""
        self._place = place
        self._delays_s = delays_s
        self._pause = pause

    async def list(self, prefix: str) -> AsyncGenerator[StoredFile, None]:
        """See `ReplicaPlace.list`. A listing that breaks off goes on after its last file."""
        last, tries = "", 0
        while True:
            try:
                async for file in self._place.list(prefix):
                    if file.name > last:
                        last, tries = file.name, 0
                        yield file
                return
            except ReplicaUnavailable as exc:
                await self._wait(exc, tries)
                tries += 1

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """See `ReplicaPlace.read`."""
        return await self._try(lambda: self._place.read(name, max_bytes=max_bytes))

    async def read_start(self, name: str, size: int) -> bytes:
        """See `ReplicaPlace.read_start`."""
        return await self._try(lambda: self._place.read_start(name, size))

    async def download(self, name: str, path: Path) -> int:
        """See `ReplicaPlace.download`."""
        return await self._try(lambda: self._place.download(name, path))

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        tries = 0
        while True:
            try:
                return await call()
            except ReplicaUnavailable as exc:
                await self._wait(exc, tries)
                tries += 1

    async def _wait(self, exc: ReplicaUnavailable, tries: int) -> None:
        if tries >= len(self._delays_s):
            raise exc
        _log.warning(
            "the replica is away; trying again", error=str(exc), after=self._delays_s[tries]
        )
        await self._pause(self._delays_s[tries])
