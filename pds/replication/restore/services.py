"""The databases of the server itself, and which accounts it has."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Final

from database.errors import DatabaseError
from database.opening import open_database
from pds.replication.errors import ReplicaFileMissing
from pds.replication.ltx.names import list_ltx
from pds.replication.restore.reading import find_deleted, read_dids, read_pending
from pds.replication.restore.report import Lack
from pds.replication.restore.target import ACCOUNT, DID_CACHE, HOLD, LEDGER, SEQUENCER
from sequencer.run_state import mark_as_copy

if TYPE_CHECKING:
    from pds.replication.restore.database import DatabaseRestorer
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.report import RestoreReport
    from pds.replication.restore.target import RestoreTarget

_OPTIONAL: Final = frozenset((DID_CACHE, HOLD, LEDGER))
"""A cache, one that only holds have, and one that only `pds replicate` has."""


class NoAccounts(ReplicaFileMissing):
    """The replica has no usable `account.sqlite`, without which nothing else is of use."""


class ServiceDatabases:
    """The databases of the server in a target."""

    def __init__(
        self,
        reader: PatientReader,
        restorer: DatabaseRestorer,
        target: RestoreTarget,
        report: RestoreReport,
    ) -> None:
        self._reader = reader
        self._restorer = restorer
        self._target = target
        self._report = report
        self.dids: set[str] = set()
        """The accounts of `account.sqlite`."""
        self.pending: dict[str, int] = {}
        """Accounts with changes that the replica may lack, and since when, in Unix milliseconds."""

    async def restore(self, *, keep: bool) -> None:
        """Restore all of them; with `keep`, those that are there stay. Raises `NoAccounts`."""
        for name, path in self._target.services.items():
            if not (keep and self._report.is_noted(name) and path.exists()):
                await self._restore_one(name)
            if name == ACCOUNT:
                await self._read_accounts()
            if name == LEDGER:
                self.pending = await asyncio.to_thread(read_pending, path)

    def is_deleted(self, did: str) -> bool:
        """Whether a DID without an account had one that was deleted, as the event log tells."""
        return find_deleted(self._target.services[SEQUENCER], did)

    async def _restore_one(self, name: str) -> None:
        files = await list_ltx(self._reader, name)
        path = self._target.services[name]
        await asyncio.to_thread(path.unlink, missing_ok=True)
        outcome = await self._restorer.restore(files, path)
        self._report.totals.read_bytes += outcome.read_bytes
        if outcome.is_restored:
            self._report.note(name, outcome)
        elif name == ACCOUNT:
            raise NoAccounts(
                f"{self._report.source} has no usable {ACCOUNT}: {outcome.reason}. Check the URL, "
                "and the time if you gave one. `--did` restores single accounts without it."
            )
        elif name not in _OPTIONAL or files:
            self._report.add(Lack.SERVICE, name, outcome.reason)

    async def _read_accounts(self) -> None:
        path = self._target.services[ACCOUNT]
        try:
            self.dids = await asyncio.to_thread(read_dids, path)
        except DatabaseError as exc:
            raise NoAccounts(
                f"The replica's {ACCOUNT} cannot be read: {exc}. Restore an earlier state with "
                "`--timestamp`."
            ) from exc


def mark_copy(target: RestoreTarget) -> None:
    """Make the next start tell consumers of what is not as they have seen it.

    Raises `DatabaseError` if the event log cannot be written.
    """
    log = target.services[SEQUENCER]
    if log.exists():
        with closing(open_database(log, create=False)) as db:
            mark_as_copy(db)
