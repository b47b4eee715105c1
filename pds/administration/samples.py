"""A bounded ring of samples: what the server has had to do in the last hour, and the last day.

The first process has them; they are for looking at, and no request depends on them.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from database.timestamps import Clock

INTERVAL_S: Final = 10.0
HOUR: Final = 360
"""Samples in the fine ring."""
COARSE: Final = 30
"""Every one of so many samples goes into the coarse ring, which holds `DAY`."""
DAY: Final = 288


@dataclass(slots=True, frozen=True)
class Counts:
    """Numbers of a moment; those that only rise are since the start."""

    requests: int
    failures: int
    """Requests answered with a status of 500 or above."""
    writes: int
    """Records created, updated and deleted."""
    events: int
    subscribers: int
    lag_events: int
    """Of the subscriber that is furthest behind."""


@dataclass(slots=True, frozen=True)
class Load:
    """Numbers of a moment, and the memory that it takes to serve."""

    counts: Counts
    memory_bytes: int
    """Resident memory of all processes; what they share counts for each."""


@dataclass(slots=True, frozen=True)
class Sample:
    """Numbers of a moment, with the time and what the system says."""

    at_s: float
    counts: Counts
    memory_bytes: int
    """See `Load`."""
    disk_free_bytes: int
    """Of the disk with the data directory."""


@dataclass(slots=True, frozen=True)
class Series:
    """One line of a plot: values by time."""

    times_s: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def newest(self) -> float | None:
        """The newest value; None without samples."""
        return self.values[-1] if self.values else None


class Samples:
    """The two rings."""

    def __init__(self) -> None:
        self._fine: deque[Sample] = deque(maxlen=HOUR)
        self._coarse: deque[Sample] = deque(maxlen=DAY)
        self._added = 0

    def add(self, sample: Sample) -> None:
        """Add a sample, in place of the oldest ones."""
        self._fine.append(sample)
        if self._added % COARSE == 0:
            self._coarse.append(sample)
        self._added += 1

    @property
    def newest(self) -> Sample | None:
        """The newest sample; None if there is none yet."""
        return self._fine[-1] if self._fine else None

    def levels(self, read: Callable[[Sample], float], *, day: bool = False) -> Series:
        """Return what `read` finds in each sample."""
        ring = tuple(self._ring(day))
        return Series(tuple(each.at_s for each in ring), tuple(map(read, ring)))

    def rates(self, read: Callable[[Counts], int], *, day: bool = False) -> Series:
        """Return how much a rising number has risen per second, from sample to sample."""
        times, values = [], []
        for before, after in pairwise(self._ring(day)):
            seconds = after.at_s - before.at_s
            if seconds > 0:
                times.append(after.at_s)
                values.append(max(0, read(after.counts) - read(before.counts)) / seconds)
        return Series(tuple(times), tuple(values))

    def _ring(self, day: bool) -> Iterator[Sample]:
        if not day:
            yield from self._fine
            return
        yield from self._coarse
        if self._fine and self._fine[-1] is not self._coarse[-1]:
            yield self._fine[-1]


class Sampler:
    """Takes a sample every ten seconds, once it is started."""

    def __init__(
        self, read: Callable[[], Awaitable[Load]], data_directory: Path, *, clock: Clock = time.time
    ) -> None:
        """Count with `read`."""
        self.samples = Samples()
        self._read = read
        self._directory = data_directory
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Take samples from now on. Call it once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Take no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def take(self) -> None:
        """Take one sample. A disk that hangs delays the next ones only."""
        load, at_s = await self._read(), self._clock()
        free_bytes = await asyncio.to_thread(_free_bytes, self._directory)
        self.samples.add(Sample(at_s, load.counts, load.memory_bytes, free_bytes))

    async def _run(self) -> None:
        while True:
            await self.take()
            await asyncio.sleep(INTERVAL_S)


def _free_bytes(directory: Path) -> int:
    try:
        space = os.statvfs(directory)
    except OSError:
        return 0
    return space.f_bavail * space.f_frsize
