"""What the ledger says of actors, and is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """An actor has changed."""

    did: str
    since_ms: int
    """When, or when that was noticed."""
    turn_ms: int
    """From when on it may be synced."""


@dataclass(frozen=True, slots=True)
class DirtyActor:
    """An actor whose turn it is."""

    did: str
    txid: int
    since_ms: int
    failures: int
    is_urgent: int
    """0 if it was never looked at before."""


@dataclass(frozen=True, slots=True)
class Settled:
    """An actor of which everything has reached the replica."""

    did: str
    txid: int
    at_ms: int
    signature: int | None
    """Of its files before the sync; None if the next sweep is to look again."""
    again_ms: int | None = None
    """When it changed again after the sync had begun, so that it stays dirty."""
    turn_ms: int | None = None
    """From when on it may be synced again, in that case."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An actor that could not be synced."""

    did: str
    at_ms: int
    retry_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class SweptRow:
    """What a sweep compares with the files of an actor."""

    signature: int | None
    dirty: bool
    deleted: bool


@dataclass(frozen=True, slots=True)
class ActorCounts:
    """Figures over all actors."""

    rows: int
    dirty: int
    failing: int
    deleted: int
    oldest_dirty_ms: int | None
