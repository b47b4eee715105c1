"""`HealthCheck`: runs all probes on request, but at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, Protocol

import structlog

from pds.monitoring.health.probes import Failure

GOOD_FOR_S: Final = 1.0
PATIENCE_S: Final = 3.0
"""How long the probes of files may take."""

_STUCK: Final = Failure(
    "files",
    f"databases and blobs have not answered for {PATIENCE_S:.0f} seconds",
    "Look at the disk and at the kernel log.",
)
_log = structlog.get_logger(__name__)


class Probe(Protocol):
    """Checks one thing."""

    def failures(self) -> Iterator[Failure]: ...


class RemoteProbe(Protocol):
    """Asks another server for one thing, in less than `PATIENCE_S`."""

    async def failures(self) -> tuple[Failure, ...]: ...


class HealthCheck:
    """Runs the probes and caches their result for a second. Belongs to one event loop."""

    def __init__(
        self,
        quick: Callable[[], Iterator[Failure]],
        probes: Sequence[Probe],
        *,
        remote: Sequence[RemoteProbe] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run `quick` and `remote` on the event loop and `probes` in a thread.

        `clock` is in seconds.
        """
        self._quick = quick
        self._probes = probes
        self._remote = remote
        self._clock = clock
        self._good_until = clock()
        self._known: tuple[Failure, ...] = ()
        self._probing: asyncio.Task[tuple[Failure, ...]] | None = None
        self._give_up_at = 0.0

    async def failures(self) -> tuple[Failure, ...]:
        """Return all failures; none if the server is healthy. Takes at most `PATIENCE_S`."""
        now = self._clock()
        if now < self._good_until:
            return self._known
        probing = self._probing
        if probing is None:
            probing = self._probing = asyncio.create_task(self._probe_all())
            self._give_up_at = now + PATIENCE_S
        # Callers that arrive while a disk hangs give up at the same time as the first.
        patience_s = max(0.0, self._give_up_at - now)
        done, _ = await asyncio.wait((probing,), timeout=patience_s)
        if done and self._probing is probing:
            self._probing = None
        self._note((*self._quick(), *(probing.result() if done else (_STUCK,))))
        return self._known

    async def _probe_all(self) -> tuple[Failure, ...]:
        found = await asyncio.gather(
            asyncio.to_thread(self._probe), *(probe.failures() for probe in self._remote)
        )
        return tuple(chain.from_iterable(found))

    def _probe(self) -> tuple[Failure, ...]:
        return tuple(failure for probe in self._probes for failure in probe.failures())

    def _note(self, found: tuple[Failure, ...]) -> None:
        self._good_until = self._clock() + GOOD_FOR_S
        before, self._known = self._known, found
        for failure in found:
            if failure not in before:
                _log.error(
                    "not healthy",
                    check=failure.check,
                    reason=failure.reason,
                    remedy=failure.remedy,
                )
        if before and not found:
            _log.info("healthy again")
