"""Plans of commits: the writes that follow from a request and from what is stored.

They are values rather than functions, because the process that writes the actor may be another
than the one that got the request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from actor_store.reader import ActorStoreReader
from actor_store.writes import PreparedWrite

Guard: TypeAlias = Callable[[ActorStoreReader, Sequence[PreparedWrite]], None]
"""Sees the writes of a commit in its transaction, and raises to refuse them."""


def allow(_actor: ActorStoreReader, _writes: Sequence[PreparedWrite]) -> None:
    """The guard of a repository whose owner writes."""


@dataclass(slots=True, frozen=True)
class Create:
    """Create a record."""

    write: PreparedWrite
    replaces_alike: bool
    """Whether it replaces a record that means the same, as a second like of a post does."""
    guard: Guard = allow

    def __call__(self, actor: ActorStoreReader) -> list[PreparedWrite]:
        """Return the deletion of records that are alike, and the creation."""
        write = self.write
        writes = [write]
        if self.replaces_alike:
            alike = actor.record.backlink_conflicts(write.collection, write.backlinks)
            writes[:0] = (PreparedWrite("delete", write.collection, rkey) for rkey in alike)
        self.guard(actor, writes)
        return writes


@dataclass(slots=True, frozen=True)
class Put:
    """Create or replace a record; nothing if it is the same already."""

    write: PreparedWrite
    guard: Guard = allow

    def __call__(self, actor: ActorStoreReader) -> list[PreparedWrite] | None:
        """Return the creation or the update."""
        write = self.write
        current = actor.record.find_cid(write.collection, write.rkey)
        # As in the reference, this comes before the swap checks.
        if current == write.cid:
            return None
        writes = [replace(write, action="create" if current is None else "update")]
        self.guard(actor, writes)
        return writes


@dataclass(slots=True, frozen=True)
class Delete:
    """Delete a record, if it is there."""

    write: PreparedWrite
    guard: Guard = allow

    def __call__(self, actor: ActorStoreReader) -> list[PreparedWrite] | None:
        """Return the deletion."""
        writes = [self.write]
        if actor.record.find_cid(self.write.collection, self.write.rkey) is None:
            return None
        self.guard(actor, writes)
        return writes


@dataclass(slots=True, frozen=True)
class Writes:
    """Make several writes as they are."""

    writes: Sequence[PreparedWrite]
    guard: Guard = allow

    def __call__(self, actor: ActorStoreReader) -> Sequence[PreparedWrite]:
        """Return the writes."""
        self.guard(actor, self.writes)
        return self.writes
