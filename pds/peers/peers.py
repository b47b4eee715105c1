"""`Peers`: the processes of one server as each of them sees the others.

A server is one process, or a first one with the event log and several workers, each of which
writes the actors that a hash of their DID gives it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pds.peers.link import Link, PeerGone


class Peers:
    """The other processes of this server; none, unless it has workers."""

    first: Link | None
    """The process with the event log; None if it is this one."""

    def __init__(self, *, first: Link | None = None, workers: Sequence[Link | None] = ()) -> None:
        """`workers` are in the order of their numbers, with None for this process itself."""
        self.first = first
        self._workers = workers
        self.heard_from: Callable[[int], None] = lambda _: None
        """Called in the first process with the number of each worker that shows it is alive."""
        self.may_leave: Callable[[int], Awaitable[None]] = _at_once
        """Awaited in the first process with the number of each worker that is about to end."""
        self.followers: set[int] = set()
        """The workers to which the first process sends frames of events."""

    @property
    def is_alone(self) -> bool:
        """Whether the server is this process alone."""
        return not self._workers

    @property
    def answering(self) -> int:
        """The number of processes of this server that answer requests."""
        return max(1, len(self._workers))

    def owner_of(self, did: str) -> Link | None:
        """Return the link to the process that writes an actor; None if it is this one."""
        workers = self._workers
        return workers[owner_number(did, len(workers))] if workers else None

    def worker(self, number: int) -> Link | None:
        """Return the link to a worker; None if that is this process."""
        return self._workers[number]

    @property
    def number(self) -> int | None:
        """The number of this worker; None in the first process."""
        return None if self.first is None else self._workers.index(None)

    @property
    def others(self) -> list[Link]:
        """The links to all other processes."""
        return [link for link in (self.first, *self._workers) if link is not None]

    async def ask_others(self, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a registered function in all other processes, and return what those answer."""
        calls = (link.ask(name, *args, **kwargs) for link in self.others)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, PeerGone):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    def tell_others(self, message: bytes) -> None:
        """Send what `telling` made to all other processes."""
        for link in self.others:
            link.tell(message)

    def forget(self, worker: int) -> None:
        """Send no more frames to a worker that has ended."""
        self.followers.discard(worker)

    def close(self) -> None:
        """Close all links."""
        for link in self.others:
            link.close()


def owner_number(did: str, workers: int) -> int:
    """Return the number of the worker, of so many, that writes an actor."""
    return zlib.crc32(did.encode()) % workers


async def _at_once(_worker: int) -> None:
    pass
