"""`StorageSurvey`: sizes of actor stores and blobs, measured in the background on demand."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from database.timestamps import now_iso
from pds.disk.sizes import MeasuringStopped, ShouldStop
from pds.disk.usage import ActorsAndBlobs

_MIN_AGE_S: Final = 60.0
_REST_FACTOR: Final = 50
"""How many times as long as it took a result stays valid, which limits the load to 2% of a core."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class Survey:
    """A result, and the time of its measurement (ISO 8601)."""

    totals: ActorsAndBlobs
    measured_at: str


class StorageSurvey:
    """Measures sizes and keeps the newest result. Belongs to one event loop."""

    def __init__(
        self,
        measure: Callable[[ShouldStop], ActorsAndBlobs],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run `measure` in a thread, one at a time. `clock` is in seconds."""
        self._measure = measure
        self._clock = clock
        self._stop = threading.Event()
        self._task: asyncio.Task[None] | None = None
        self._good_until = clock()
        self.latest: Survey | None = None
        """The newest result; None before the first measurement is complete."""

    def refresh(self) -> None:
        """Start a measurement if the newest result is old. Needs a running event loop."""
        if self._task is None and self._clock() >= self._good_until and not self._stop.is_set():
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def current(self, *, patience_s: float) -> Survey | None:
        """Return the newest result, which may be old; None if none is ready within `patience_s`."""
        self.refresh()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=patience_s)
        return self.latest

    async def close(self) -> None:
        """Stop a running measurement."""
        self._stop.set()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        started = self._clock()
        try:
            totals = await asyncio.to_thread(self._measure, self._stop.is_set)
        except MeasuringStopped:
            return
        except OSError as exc:
            _log.warning("sizes of files could not be measured", reason=str(exc))
        else:
            self.latest = Survey(totals, now_iso())
        finally:
            took_s = self._clock() - started
            self._good_until = self._clock() + max(_MIN_AGE_S, _REST_FACTOR * took_s)
            self._task = None
