"""Aborting, once a day has passed, the uploads that nobody has finished.

Those are rows of `hold.sqlite`, and what the store has without a row: a crash can leave a multipart
upload or an object, and a lost `hold.sqlite` leaves all of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from database.errors import DatabaseError
from pds.hold.oci.finishing import Finisher
from pds.hold.oci.storage import Leftover, OciStorage
from pds.hold.oci.upload_rows import UploadRows
from pds.hold.oci.uploads import Uploads

KEPT_S: Final = 24 * 60 * 60
"""How long an upload may be left alone, and an ended one is remembered."""
_RESUME_EVERY_S: Final = 60.0
_SWEEP_EVERY: Final = 60
"""Times of resuming."""
_BATCH: Final = 100

_log = structlog.get_logger(__name__)


class OciUploadSweep:
    """Sweeps the uploads of a hold each hour, and each minute goes on with interrupted checks."""

    def __init__(
        self,
        storage: OciStorage,
        rows: UploadRows,
        uploads: Uploads,
        finisher: Finisher,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` returns Unix seconds."""
        self._storage = storage
        self._rows = rows
        self._uploads = uploads
        self._finisher = finisher
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, until `close`. May be repeated."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop. May be repeated."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def sweep(self) -> int:
        """Discard old uploads, and return how many. Raises `BlobStoreError`s, `DatabaseError`s."""
        before_s = self._clock() - KEPT_S
        swept = 0
        while old := self._rows.list_old(before_ms=int(before_s * 1000), limit=_BATCH):
            for upload in old:
                await self._uploads.expire(upload)
            swept += len(old)
        async for leftover in self._storage.list_leftovers():
            if leftover.begun_s < before_s and not self._is_known(leftover):
                await self._storage.drop_leftover(leftover)
                swept += 1
        if swept:
            _log.info("discarded old uploads of images", uploads=swept)
        return swept

    def _is_known(self, leftover: Leftover) -> bool:
        return leftover.upload_id is not None and self._rows.exists(leftover.upload_id)

    async def _go_on(self) -> None:
        turn = 0
        while True:
            try:
                self._finisher.resume()
                if turn % _SWEEP_EVERY == 1:
                    await self.sweep()
            except (BlobStoreError, DatabaseError, OSError) as exc:
                _log.warning("uploads of images were not swept", reason=str(exc))
            turn += 1
            await asyncio.sleep(_RESUME_EVERY_S)
