"""The imports that are under way: one of each account, and turns at what they all need."""

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
from pds.fairness.turns import Turns

if TYPE_CHECKING:
    from repo.syntax import Did

LARGE_BYTES: Final = 8 * 1024 * 1024
"""A CAR that is longer takes more than some seconds; most have one or two megabytes."""
RETRY_AFTER_S: Final = 60
OPERATOR: Final = "operator"
_WAIT_S: Final = 600.0

_log = structlog.get_logger(__name__)


class ImportUnderWay(Exception):
    """The repository has another import, which has come as far as `progress` tells."""

    retry_after_s = RETRY_AFTER_S

    def __init__(self, progress: str) -> None:
        super().__init__(f"Another import of this repository is under way ({progress}). Wait.")


class Stage(StrEnum):
    """How far an import has come."""

    RECEIVING = "receiving"
    WAITING = "waiting"
    LOADING = "loading"


@dataclass(slots=True, eq=False)
class Import:
    """An import that is under way."""

    did: Did
    stage: Stage = Stage.RECEIVING
    size_bytes: int = 0
    """Of the CAR, once it has come in."""
    ticket: str | None = None
    """By which whoever waits for it finds it among others."""


@dataclass(slots=True, frozen=True)
class Sender:
    """Who sends a CAR."""

    holder: str = OPERATOR
    """Whom a share of turns and of the disk is counted for."""
    present: Callable[[], AbstractContextManager[None]] = nullcontext
    """Makes a `with` block that ends when the sender has left."""
    ticket: str | None = None
    """What the sender calls the import."""


class Imports:
    """The imports that are under way, and the turns they take at being loaded.

    Each takes the memory of its page cache and as much of a processor as it gets. Three are loaded
    at a time, and two of them are small: nobody with a small repository waits for a large one, nor
    for all that come from one address.
    """

    def __init__(self) -> None:
        self._under_way: dict[str, Import] = {}
        self._all = _turns("imports", at_once=3)
        self._large = _turns("large imports", at_once=1)
        self.room = SpoolRoom()
        """What the CARs take of the disk while they wait."""

    @contextmanager
    def begun(self, did: Did) -> Iterator[Import]:
        """A `with` block for an import of this account. Raises `ImportUnderWay` during another."""
        earlier = self._under_way.get(did)
        if earlier is not None:
            # Their bodies would wait on the disk for each other.
            raise ImportUnderWay(self.tell(earlier))
        started = self._under_way[did] = Import(did)
        try:
            yield started
        finally:
            del self._under_way[did]

    @asynccontextmanager
    async def loading(self, begun: Import, sender: Sender) -> AsyncIterator[None]:
        """A turn at being loaded, for the length of an `async with` block.

        Turns are shared fairly by account and by sender. Raises `TooBusy`, and what
        `Sender.present` raises while it waits.
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
        """All of them, in the order in which they began, for the operator."""
        return [self._to_json(one) for one in self._under_way.values()]

    def tell(self, one: Import) -> str:
        """How far an import has come, for people."""
        place = self._find_place(one)
        return one.stage.value if place is None else "waiting, number {} of {}".format(*place)

    def _find_place(self, one: Import) -> tuple[int, int] | None:
        """Which of those that wait it is, from 1 on, and how many they are."""
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
        # An account has one at a time; several accounts may come from one address.
        each=2,
        waiting=64,
        waiting_each=8,
        wait_s=_WAIT_S,
        retry_after_s=RETRY_AFTER_S,
    )
