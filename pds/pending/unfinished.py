"""`Unfinished`: what the running server knows to be unfinished or damaged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from actor_store.keyed_locks import KeyedLocks
from pds.pending.journal import Journal
from pds.pending.retrier import Retrier


@dataclass(slots=True)
class Unfinished:
    """One for each running server."""

    journal: Journal
    retrier: Retrier = field(default_factory=Retrier)
    damaged: set[str] = field(default_factory=set)
    """DIDs whose store has been found damaged; each is told of once."""
    finished: bool = False
    """Whether all that an unclean stop may have left has been looked at."""
    finish: Callable[[], Awaitable[None]] | None = None
    """Does what a full disk kept from being done at start. Raises `DatabaseFull` while it still
    does; None if there is nothing to do."""
    same_run: bool | None = None
    """Whether the last run of both service databases was the same; None if not yet compared."""
    since_s: float | None = None
    """Since when the last try to recover has looked at stores, in Unix seconds."""
    _locks: KeyedLocks = field(default_factory=KeyedLocks)

    def lock(self, did: str) -> asyncio.Lock:
        """The lock to hold while creating, renaming or deleting this account."""
        return self._locks[did]
