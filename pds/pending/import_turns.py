"""Running imports: one per account, which take turns at being loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import structlog

from pds.disk.spool import SpoolRoom
from pds.fairness.per_process import per_process
from pds.fairness.turns import Turns

if TYPE_CHECKING:
    from repo.syntax import Did

LARGE_BYTES: Final = 8 * 1024 * 1024
"""Larger CARs take more than a few seconds to load; most have one or two megabytes."""
RETRY_AFTER_S: Final = 60
OPERATOR: Final = "operator"
_WAIT_S: Final = 600.0
_AT_ONCE: Final = 3

_log = structlog.get_logger(__name__)


class ImportUnderWay(Exception):
    """The repository already has a running import, at the stage that `progress` describes."""

    retry_after_s = RETRY_AFTER_S

    def __init__(self, progress: str) -> None:
        super().__init__(f"Another import of this repository is under way ({progress}). Wait.")


class Stage(StrEnum):
    """The stage of an import."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    LOADING = "loading"


@dataclass(slots=True, eq=False)
class Import:
    """A running import."""

    did: Did
    stage: Stage = Stage.RECEIVING
    size_bytes: int = 0
    """Size of the CAR, once it has been received."""
    ticket: str | None = None
    """The sender's name for the import, to find it among others."""


@dataclass(slots=True, frozen=True)
class Sender:
    """The sender of a CAR."""

    holder: str = OPERATOR
    """The key under which its share of turns and disk space is counted."""
    present: Callable[[], AbstractContextManager[None]] = nullcontext
    """Makes a context manager whose block is interrupted when the sender leaves."""
    ticket: str | None = None
    """The sender's name for the import."""


class Imports:
    """The running imports, and the turns they take at being loaded.

    Each one uses the memory of its page cache and all the CPU it can get. Three are loaded at a
    time, of which at most one is large: small repositories wait neither for large ones nor for all
    that come from one address.
    """

    def __init__(self, *, processes: int = 1) -> None:
        """Share the three with the other `processes` of the server, of which each has one."""
        self._under_way: dict[str, Import] = {}
        self._all = _turns("imports", at_once=per_process(_AT_ONCE, processes))
        self._large = _turns("large imports", at_once=1)
        self.room = SpoolRoom()
        """The disk space that received CARs use."""

    def find_progress(self, did: Did) -> str | None:
        """Return how far the import of this account is, for people; None if there is none."""
        one = self._under_way.get(did)
        return None if one is None else self.tell(one)

    @contextmanager
    def begun(self, did: Did) -> Iterator[Import]:
        """Register an import of this account for a `with` block.

        Raises `ImportUnderWay` during another one.
        """
        progress = self.find_progress(did)
        if progress is not None:
            # Otherwise, several CARs of one account would wait on the disk.
            raise ImportUnderWay(progress)
        started = self._under_way[did] = Import(did)
        try:
            yield started
        finally:
            del self._under_way[did]

    @asynccontextmanager
    async def loading(self, begun: Import, sender: Sender) -> AsyncIterator[None]:
        """Wait for a turn at being loaded, and hold it for an `async with` block.

        Turns are shared fairly by account and by sender. Raises `TooBusy`, and what
        `Sender.present` raises while waiting.
        """
        begun.stage, begun.ticket = Stage.WAITING, sender.ticket
        holders = (begun.did, sender.holder)
        async with AsyncExitStack() as stack:
            with sender.present():
                if self._all.running:
                    _log.info("an import waits", did=begun.did, position=self.tell(begun))
                if begun.size_bytes > LARGE_BYTES:
                    await stack.enter_async_context(self._large.turn(*holders))
                await stack.enter_async_context(self._all.turn(*holders))
            begun.stage = Stage.LOADING
            yield

    def to_json(self) -> list[dict[str, Any]]:
        """Return all running imports for the operator, in the order they began."""
        return [self._to_json(one) for one in self._under_way.values()]

    def tell(self, one: Import) -> str:
        """Describe the progress of an import for people."""
        place = self._find_place(one)
        return one.stage.value if place is None else "waiting, number {} of {}".format(*place)

    def _find_place(self, one: Import) -> tuple[int, int] | None:
        """Return the import's position in the queue, from 1 on, and the queue's length."""
        queue = [other for other in self._under_way.values() if other.stage is Stage.WAITING]
        return (queue.index(one) + 1, len(queue)) if one in queue else None

    def _to_json(self, one: Import) -> dict[str, Any]:
        told: dict[str, Any] = {
            "did": one.did,
            "state": self.tell(one),
            "sizeBytes": one.size_bytes,
        }
        place = self._find_place(one)
        if place is not None:
            told["place"] = place
        if one.ticket is not None:
            told["ticket"] = one.ticket
        return told


def _turns(what: str, *, at_once: int) -> Turns:
    return Turns(
        what,
        at_once=at_once,
        # An account has one import at a time, but an address may import several accounts.
        each=2,
        waiting=64,
        waiting_each=8,
        wait_s=_WAIT_S,
        retry_after_s=RETRY_AFTER_S,
    )
