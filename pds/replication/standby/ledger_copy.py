"""The ledger of the primary: followed like any database, and read between two applications."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from database.errors import DatabaseDamaged
from pds.replication.ltx.names import parse_ltx
from pds.replication.restore.reading import reading
from pds.replication.restore.target import LEDGER
from pds.replication.standby.ledger_rows import LedgerRows

if TYPE_CHECKING:
    from pds.replication.restore.patience import PatientReader
    from pds.replication.standby.databases import Databases
    from pds.replication.standby.state import StandbyState

_NEWEST: Final = f"{LEDGER}/ltx/0/"
_LIST_ALL_EVERY_S: Final = 30.0
"""Where the newest files do not tell, such as after merging, all levels are listed this often."""


class LedgerCopy:
    """The local copy of the ledger."""

    def __init__(
        self, reader: PatientReader, databases: Databases, state: StandbyState, path: Path
    ) -> None:
        self._reader = reader
        self._databases = databases
        self._state = state
        self._path = path
        self._lock = asyncio.Lock()
        self._listed_s: float | None = None
        self.time_ms = 0
        """When the newest change that it has was noticed on the primary, in Unix milliseconds."""
        self.problem = ""
        """Why it is not as new as the replica's."""

    async def advance(self, *, anyway: bool = False) -> bool:
        """Bring it as far as the replica is; return whether that changed it.

        One LIST while nothing is new, unless `anyway`. Raises what `Databases.advance` raises.
        """
        if not anyway and not await self._has_news():
            return False
        async with self._lock:
            advanced = await self._databases.advance(LEDGER, self._path)
        self._listed_s = time.monotonic()
        self.time_ms = max(self.time_ms, advanced.time_ms)
        self.problem = advanced.problem
        return advanced.has_changed

    @property
    def exists(self) -> bool:
        """Whether there is a copy."""
        return self._state.find(LEDGER) is not None and self._path.exists()

    @asynccontextmanager
    async def rows(self) -> AsyncIterator[LedgerRows]:
        """Open it for reading; it does not change within the block. Raises `DatabaseError`s.

        A damaged one is copied anew by the next `advance`.
        """
        async with self._lock:
            try:
                with reading(self._path) as db:
                    yield LedgerRows(db)
            except DatabaseDamaged:
                self._state.forget(LEDGER)
                raise

    async def _has_news(self) -> bool:
        known = self._state.find(LEDGER)
        if known is None or known.begun != 0 or not self._path.exists():
            return True
        files = [parse_ltx(file) async for file in self._reader.list(_NEWEST)]
        newest = max((file.name.last for file in files if file is not None), default=0)
        if newest == known.txid:
            return False
        # Without files, or with older ones only, something else is the matter.
        return newest > known.txid or self._may_list_all()

    def _may_list_all(self) -> bool:
        return self._listed_s is None or time.monotonic() - self._listed_s > _LIST_ALL_EVERY_S
