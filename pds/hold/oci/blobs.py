"""Which blobs exist: remembered, because the bytes of a digest never change, only disappear."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from actor_store.keyed_locks import KeyedLocks
from pds.fairness.turns import Turns
from pds.hold.oci.digest import Digest
from pds.hold.oci.storage import OciStorage, StoredBlob

_REMEMBERED: Final = 100_000
_LOOK_AGAIN_S: Final = 600.0
"""Somebody may delete objects of the bucket by hand."""
_LOOKS: Final = 32
_LOOKS_EACH: Final = 16
"""Questions to the store at a time, in total and per asker, which anyone may cause."""


@dataclass(slots=True, frozen=True)
class _Known:
    blob: StoredBlob
    looked_s: float


@dataclass(slots=True, eq=False)
class _Look:
    """A question to the store that is under way."""

    digest: Digest
    outdated: bool = False
    """The blob has been deleted since it was asked for."""


class Blobs:
    """The stored blobs of a hold. A deleted one is gone at once."""

    def __init__(
        self,
        storage: OciStorage,
        askers: Callable[[], tuple[str, ...]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`askers` are those of the current request; `clock` returns Unix seconds."""
        self._storage = storage
        self._askers = askers
        self._clock = clock
        self._known: LRUCache[Digest, _Known] = LRUCache(_REMEMBERED)
        self._looks: set[_Look] = set()
        self._deleting = KeyedLocks()
        self._doomed: set[Digest] = set()
        self._wanted: Counter[Digest] = Counter()
        self.on_use: Callable[[Digest], None] = lambda _: None
        """Called when a client is told that a blob is there; must be quick and not raise."""
        self._turns = Turns(
            "look-ups of blobs",
            at_once=_LOOKS,
            each=_LOOKS_EACH,
            waiting=8 * _LOOKS,
            waiting_each=4 * _LOOKS,
            wait_s=10.0,
        )

    async def find(self, digest: Digest) -> StoredBlob | None:
        """Return a stored blob. Raises `BlobStoreError`s and `TooBusy`."""
        known = self._known.get(digest)
        if known is not None and self._clock() - known.looked_s < _LOOK_AGAIN_S:
            self.on_use(digest)
            return known.blob
        async with self._turns.turn(*self._askers()):
            return await self.look(digest)

    async def look(self, digest: Digest) -> StoredBlob | None:
        """Ask the store, whatever is remembered."""
        look = _Look(digest)
        self._looks.add(look)
        try:
            blob = await self._storage.find(digest)
        finally:
            self._looks.discard(look)
        if blob is None or look.outdated or digest in self._doomed:
            self._known.pop(digest, None)
            return None
        self.note(blob)
        return blob

    def note(self, blob: StoredBlob) -> None:
        """Remember that a blob is stored."""
        self._known[blob.digest] = _Known(blob, self._clock())
        self.on_use(blob.digest)

    def forget(self, digest: Digest) -> None:
        """Ask the store again next time: it lacks a blob that it was thought to have."""
        self._known.pop(digest, None)

    @asynccontextmanager
    async def wanted(self, digest: Digest) -> AsyncIterator[None]:
        """Keep a blob from being deleted during an `async with` block, if it is there."""
        # Before the block, so that a deletion that has begun is over when the caller looks.
        async with self._deleting[digest]:
            self._wanted[digest] += 1
        try:
            yield
        finally:
            self._wanted[digest] -= 1
            if not self._wanted[digest]:
                del self._wanted[digest]

    async def delete(
        self, digests: Sequence[Digest], *, unless: Callable[[Digest], bool]
    ) -> list[Digest]:
        """Delete blobs, and return those that were deleted.

        A blob stays if it is wanted, or if `unless` says so, which is asked at the last moment. The
        caller passes at most a few hundred at a time.
        """
        async with AsyncExitStack() as stack:
            # In order, so that two deletions do not wait for each other.
            for digest in sorted(set(digests)):
                await stack.enter_async_context(self._deleting[digest])
            doomed = [
                digest for digest in digests if digest not in self._wanted and not unless(digest)
            ]
            self._doomed.update(doomed)
            try:
                self._drop(doomed)
                await self._storage.delete(doomed)
            finally:
                # Again, for questions that were asked meanwhile.
                self._drop(doomed)
                self._doomed.difference_update(doomed)
        return doomed

    def _drop(self, digests: Collection[Digest]) -> None:
        for digest in digests:
            self._known.pop(digest, None)
        for look in self._looks:
            look.outdated = look.outdated or look.digest in digests
