"""Deleted accounts: their files leave the replica after the retention.

Until then, a restore as of a time before the deletion still finds them.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import InvalidStoreName
from pds.replication.litestream.local_state import state_directory
from pds.replication.replica import names

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout
    from pds.replication.ledger.ledger import Ledger
    from pds.replication.replica.place import ReplicaPlace

_AT_A_TIME: Final = 20
_FILES_AT_A_TIME: Final = 500

_log = structlog.get_logger(__name__)


class Deletions:
    """Removes what is left of deleted accounts in the replica."""

    def __init__(
        self,
        layout: ActorLayout,
        ledger: Ledger,
        place: ReplicaPlace,
        *,
        retention_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Remove nothing before it has been gone for `retention_s`; `clock`: Unix seconds."""
        self._layout = layout
        self._ledger = ledger
        self._place = place
        self._retention_s = retention_s
        self._clock = clock
        self.files_deleted = 0

    async def remove_expired(self) -> int:
        """Remove the databases of accounts that went long enough ago; return how many.

        Raises `ReplicationError`s of the place and `DatabaseError`s; a later call goes on.
        """
        before_ms = int((self._clock() - self._retention_s) * 1000)
        removed = 0
        while dids := self._ledger.actors.deleted_before(before_ms, limit=_AT_A_TIME):
            for did in dids:
                if not await asyncio.to_thread(self._is_there, did):
                    await self._remove(did)
                    removed += 1
            # One that has come back is not deleted, and the sweep has yet to see it.
            await self._ledger.write(partial(self._ledger.actors.forget, dids))
        return removed

    def _is_there(self, did: str) -> bool:
        """Whether an actor is back, or only its store was lost. Waits for the disk."""
        try:
            return self._layout.store(did).exists() or self._layout.key(did).exists()
        except InvalidStoreName:
            return False

    async def _remove(self, did: str) -> None:
        found: list[str] = []
        async for file in self._place.list(f"{names.actor_database(did)}/"):
            found.append(file.name)
            if len(found) == _FILES_AT_A_TIME:
                await self._delete(found)
        await self._delete(found)
        _log.info("a deleted account has left the replica", did=did)

    async def _delete(self, found: list[str]) -> None:
        if found:
            await self._place.delete(tuple(found))
            self.files_deleted += len(found)
            found.clear()


def remove_leftovers(store: Path) -> None:
    """Delete Litestream's files beside a store that is gone, and the directory if it is empty.

    Otherwise no account with this DID could be made again. Anything else that is there, such as a
    signing key, stays. Waits for the disk.
    """
    if store.exists():
        return
    shutil.rmtree(state_directory(store), ignore_errors=True)
    with suppress(OSError):
        store.parent.rmdir()
