"""One run of moving blobs: over the old stores again and again, until nothing is left to move."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.move_steps import BlobUnmovable, OldStoreFailed, Outcome

if TYPE_CHECKING:
    from pds.pending.blob_movers import FoundBlob, Mover

PAGE: Final = 1000
"""How many blobs are listed at a time."""
MAX_LEFT: Final = 10_000
"""With so many that cannot be moved, something else is wrong."""
MAX_FAILED_READS: Final = 20
"""After so many in a row, the old store is considered broken."""
_SHOWN: Final = 100
_PAUSE_S: Final = 1.0
"""Between two looks at blobs that are still being read, and at how fast copies may go on."""

_log = structlog.get_logger(__name__)


class State(StrEnum):
    """The state of a run."""

    MOVING = "moving"
    DONE = "done"
    """Nothing is left, except what cannot be moved."""
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(slots=True, frozen=True)
class LeftBlob:
    """A blob that stays in the old store."""

    blob: FoundBlob
    problem: str

    def to_json(self) -> dict[str, str]:
        """Where it is, and why."""
        blob = self.blob
        return {
            "did": blob.did,
            "name": blob.name,
            "place": blob.place,
            "problem": self.problem,
        }


class _Stopped(Exception):
    """The run was told to stop, or another copy has failed."""


class MoveRun:
    """Moves what it finds, a few blobs at a time, and counts."""

    def __init__(self, movers: Sequence[Mover[Any]]) -> None:
        """Move what each of `movers` finds, one kind after the other."""
        self.id = secrets.token_hex(8)
        self.state = State.MOVING
        self.failure = ""
        """What ended the run, for the operator."""
        self.moved_blobs = 0
        self.moved_bytes = 0
        self.copied_bytes = 0
        """Including copies under way, and those in vain."""
        self.left_count = 0
        self.left: list[LeftBlob] = []
        """The first of those that cannot be moved."""
        self._movers = movers
        self._known: set[tuple[str, str, str]] = set()
        self._failed_reads = 0
        self._stopped = asyncio.Event()
        self._until_s = float("inf")
        self._bytes_per_s: float | None = None
        self._free_s = 0.0

    def limit(self, *, until_s: float, bytes_per_s: float | None) -> None:
        """Stop at a time of the event loop's clock, and copy no faster than this."""
        self._until_s = until_s
        self._bytes_per_s = bytes_per_s

    def stop(self) -> None:
        """Stop soon: between two blobs, or two chunks of a copy."""
        self._stopped.set()

    @property
    def is_stopping(self) -> bool:
        """Whether the run has been told to stop, or nobody has asked for it in time."""
        return self._stopped.is_set() or asyncio.get_running_loop().time() > self._until_s

    async def go(self) -> None:
        """Move everything, and tell in `state` and `failure` how that ended."""
        try:
            while await self._pass_over():
                pass
            self.state = State.DONE
        except _Stopped:
            self.state = State.STOPPED
        except (BlobStoreError, OSError) as exc:
            self._fail(str(exc))
        except Exception as exc:  # noqa: BLE001 (nobody awaits the run, so it is logged)
            _log.error("moving blobs has failed", exc_info=exc)
            self._fail(f"{type(exc).__name__}: see the log")
        if self.failure:
            self.state = State.FAILED

    async def _pass_over(self) -> bool:
        """Move what is there now; return whether another look is needed.

        While a place is gone through, bytes may come to one that has been: an upload becomes
        permanent, a takedown is reversed. They come from the old store only, so that this ends.
        """
        outcomes: Counter[Outcome] = Counter()
        for mover in self._movers:
            async for page in mover.pages(PAGE):
                blobs = (blob for blob in page if _key(blob) not in self._known)
                workers = (self._work(mover, blobs, outcomes) for _ in range(mover.at_once))
                await asyncio.gather(*workers)
                self._check()
        if outcomes[Outcome.IN_USE]:
            await self._rest(_PAUSE_S)
        return outcomes.total() > 0

    async def _work(
        self, mover: Mover[Any], blobs: Iterator[FoundBlob], outcomes: Counter[Outcome]
    ) -> None:
        """Move blobs until none is left, or the run ends. Each of them is moved to its end."""
        for blob in blobs:
            if self.is_stopping:
                return
            try:
                outcome = await mover.move(blob, self._pace)
            except _Stopped:
                return
            except BlobUnmovable as exc:
                self._leave(blob, exc)
                continue
            except (BlobStoreError, OSError) as exc:
                self._fail(str(exc))
                return
            outcomes[outcome] += 1
            self._failed_reads = 0
            if outcome is Outcome.MOVED:
                self.moved_blobs += 1
                self.moved_bytes += blob.size

    def _leave(self, blob: FoundBlob, problem: BlobUnmovable) -> None:
        _log.warning(
            "a blob is not moved",
            did=blob.did,
            name=blob.name,
            place=blob.place,
            reason=str(problem),
        )
        self._known.add(_key(blob))
        self.left_count += 1
        if len(self.left) < _SHOWN:
            self.left.append(LeftBlob(blob, str(problem)))
        self._failed_reads = self._failed_reads + 1 if isinstance(problem, OldStoreFailed) else 0
        if self._failed_reads >= MAX_FAILED_READS:
            self._fail(f"{MAX_FAILED_READS} blobs in a row could not be read, the last: {problem}")
        elif self.left_count >= MAX_LEFT:
            self._fail(f"{MAX_LEFT} blobs cannot be moved")

    def _fail(self, failure: str) -> None:
        self.failure = self.failure or failure
        self._stopped.set()

    async def _pace(self, size: int) -> None:
        self._check()
        self.copied_bytes += size
        if self._bytes_per_s is None:
            return
        clock = asyncio.get_running_loop().time
        self._free_s = turn_s = max(self._free_s, clock()) + size / self._bytes_per_s
        # A little at a time, since the limit may be taken back, and the time may be up.
        while self._is_limited() and clock() < turn_s:
            await self._rest(min(turn_s - clock(), _PAUSE_S))
            self._check()

    def _is_limited(self) -> bool:
        return self._bytes_per_s is not None

    async def _rest(self, seconds: float) -> None:
        """Wait, but not longer than until the run is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()

    def _check(self) -> None:
        if self.is_stopping:
            raise _Stopped


def _key(blob: FoundBlob) -> tuple[str, str, str]:
    return blob.place, blob.did, blob.name
