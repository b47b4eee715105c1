"""`BlobUse`: which stored blobs were asked for lately, so that none is deleted under a client.

A registry asks whether a blob is stored, does not upload it again, and names it in a manifest hours
later. Meanwhile nothing refers to the blob, and garbage collection must not delete it. So `touch`
is called whenever a client is told about a blob. Uses are remembered for as long as garbage is
kept; those of blobs that nothing refers to also survive restarts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from database.retry import write
from database.timestamps import Clock
from pds.hold.repeating import end, repeat

if TYPE_CHECKING:
    from database.connection import Database

_MAX_TOUCHED: Final = 50_000
"""Digests in memory. Beyond that, none counts as unused for a while."""
_MAX_SEEN: Final = 100_000
"""Rows, beyond which only uses of blobs that were uploaded here are written."""
_STEP: Final = 500
_WRITE_S: Final = 10.0
_REFERRED: Final = (
    "SELECT EXISTS (SELECT 1 FROM layer WHERE digest = ?1)"
    " OR EXISTS (SELECT 1 FROM manifest_blob WHERE digest = ?1)"
)
_STORED: Final = "SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?)"
_NOTE: Final = (
    "INSERT INTO seen (digest, atMs) VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET atMs = max(atMs, excluded.atMs)"
)


class BlobUse:
    """Notes uses, and says which blobs nobody uses. Belongs to one event loop."""

    def __init__(
        self,
        db: Database,
        *,
        kept_s: float,
        clock: Clock = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember uses for `kept_s` seconds. `clock` returns Unix seconds."""
        self._db = db
        self._kept_s = kept_s
        self._clock = clock
        self._monotonic = monotonic
        self._started_s = clock() - monotonic()
        self._touched: dict[str, int] = {}
        self._lost_until_s = 0.0
        self._due = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to write uses to hold.sqlite."""
        task = repeat(self._due, _WRITE_S, self.write, what="uses of blobs")
        self._tasks.append(asyncio.get_running_loop().create_task(task))

    async def close(self) -> None:
        """Write what is noted. Raises `DatabaseError`s."""
        await end(self._tasks)
        await self.write()

    def touch(self, digest: str) -> None:
        """Note that a client is told of a blob, and may be about to refer to it."""
        if len(self._touched) >= _MAX_TOUCHED and digest not in self._touched:
            self._lost_until_s = self._monotonic() + self._kept_s
            return
        self._touched[digest] = self._now_ms()
        self._due.set()

    async def write(self) -> None:
        """Write the uses of blobs that nothing refers to. Raises `DatabaseError`s."""
        while self._touched:
            some = list(self._touched.items())[:_STEP]
            await write(self._db, lambda: self._store(some))  # noqa: B023 (called at once)
            for digest, at_ms in some:
                if self._touched.get(digest) == at_ms:
                    del self._touched[digest]
            await asyncio.sleep(0)

    def note(self, digests: Sequence[str]) -> None:
        """Note in an open transaction that blobs were in use until now."""
        now_ms = self._now_ms()
        self._db.many(_NOTE, [(digest, now_ms) for digest in digests])

    def is_referred(self, digest: str) -> bool:
        """Whether a layer record or a remembered manifest names a blob."""
        return bool(self._db.value(_REFERRED, (digest,)))

    def is_recent(self, digest: str) -> bool:
        """Whether a blob was in use lately."""
        if self._monotonic() < self._lost_until_s:
            return True
        stored = self._db.value("SELECT atMs FROM seen WHERE digest = ?", (digest,))
        at_ms = max(stored or 0, self._touched.get(digest, 0))
        return at_ms > self.kept_since_ms()

    def kept_since_ms(self) -> int:
        """Return the time before which an unused blob is old enough to be deleted, Unix ms."""
        # As in the sweep of uploads: a clock that was wrong at the start makes nothing old.
        now_s = min(self._clock(), self._started_s + self._monotonic())
        return int((now_s - self._kept_s) * 1000)

    def _store(self, some: Sequence[tuple[str, int]]) -> None:
        db = self._db
        db.run("DELETE FROM seen WHERE atMs < ?", (self.kept_since_ms(),))
        # Strangers may ask for digests that do not exist, so there is only so much room for blobs
        # that this hold has not received itself.
        has_room = db.value("SELECT count(*) FROM seen") < _MAX_SEEN
        db.many(
            _NOTE,
            [
                (digest, at_ms)
                for digest, at_ms in some
                if not db.value(_REFERRED, (digest,)) and (has_room or db.value(_STORED, (digest,)))
            ],
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
