"""`Unfinished`: the unfinished changes and damaged stores that the running server knows of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from pds.pending.journal import Entry, Journal
from pds.pending.retrier import Retrier


@dataclass(slots=True)
class Unfinished:
    """The unfinished and damaged things of a running server, which has one instance."""

    journal: Journal
    retrier: Retrier = field(default_factory=Retrier)
    damaged: set[str] = field(default_factory=set)
    """DIDs whose store this process has found damaged; each is logged once."""
    under_way: set[Entry] = field(default_factory=set)
    """The journaled changes that this process is making."""
    finished: bool = False
    """Whether recovery after an unclean stop is complete."""
    finish: Callable[[], Awaitable[None]] | None = None
    """Completes the recovery that a full disk prevented at start, or raises `DatabaseFull` while it
    still does; None if nothing was postponed."""
    same_run: bool | None = None
    """Whether the last run of both service databases was the same; None if not yet compared."""
    since_s: float | None = None
    """The time since which the last recovery attempt checked changed stores, in Unix seconds."""
