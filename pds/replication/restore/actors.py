"""The databases and signing keys of accounts, several at once, as the replica lists them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from pds.replication.copies.at_once import for_each_found
from pds.replication.replica import names
from pds.replication.restore.listing import ActorGroup, iter_actors
from pds.replication.restore.reading import summarize_store
from pds.replication.restore.report import Lack
from pds.replication.restore.secret_files import has_key
from pds.reporting import Progress

if TYPE_CHECKING:
    from pds.replication.restore.database import DatabaseRestorer
    from pds.replication.restore.options import RestoreOptions
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.report import RestoreReport
    from pds.replication.restore.secret_files import SecretFiles
    from pds.replication.restore.services import ServiceDatabases
    from pds.replication.restore.target import RestoreTarget

STEP: Final = "accounts"


@dataclass(slots=True)
class Actors:
    """The accounts of a restore."""

    reader: PatientReader
    restorer: DatabaseRestorer
    secrets: SecretFiles
    services: ServiceDatabases
    target: RestoreTarget
    options: RestoreOptions
    report: RestoreReport
    progress: Progress
    keep: bool
    """Whether files that are there stay."""

    async def restore(self, with_blobs: set[str]) -> None:
        """Restore all accounts that are wanted; add those that have blobs to `with_blobs`."""
        wanted = self.services.dids if self.options.dids is None else set(self.options.dids)
        missing = set(wanted)
        self.report.totals.accounts = len(wanted)
        self.progress(STEP, 0, len(wanted))

        async def restore(group: ActorGroup) -> None:
            await self._restore_one(group, with_blobs)
            missing.discard(group.did)
            self.progress(STEP, len(wanted) - len(missing), len(wanted))

        await for_each_found(self._groups(), restore, at_once=self.options.parallelism)
        for did in sorted(missing):
            if did in self.services.dids:
                self.report.add(Lack.NO_DATABASE, did, "the replica has no files of it")
            else:
                self.report.add(Lack.UNKNOWN, did)

    async def _groups(self) -> AsyncGenerator[ActorGroup, None]:
        dids = self.options.dids
        few = self.options.few_dids
        prefixes = [""] if few is None else [f"{names.actor_directory(did)}/" for did in few]
        for prefix in prefixes:
            async with aclosing(iter_actors(self.reader, prefix)) as groups:
                async for group in groups:
                    if dids is None or group.did in dids:
                        yield group

    async def _restore_one(self, group: ActorGroup, with_blobs: set[str]) -> None:
        did, totals = group.did, self.report.totals
        try:
            store, key = self.target.layout.store(did), self.target.layout.key(did)
        except InvalidStoreName:
            return  # No server would find it.
        is_account = self.options.dids is not None or did in self.services.dids
        if not is_account and (not group.database or self.services.is_deleted(did)):
            totals.deleted_accounts += 1
            return
        if not await self._restore_database(group, is_account=is_account):
            return
        if self.options.keys and not (self.keep and await asyncio.to_thread(has_key, key)):
            reason = await self.secrets.restore(group.keys, key)
            if reason is not None:
                self.report.add(Lack.DAMAGED_KEY if group.keys else Lack.NO_KEY, did, reason)
        totals.keys += key.exists()
        if not store.exists():
            return
        totals.databases += 1
        if not is_account:
            self.report.add(Lack.NO_ACCOUNT, did)
        try:
            summary = await asyncio.to_thread(summarize_store, store)
        except DatabaseError as exc:
            self.report.add(Lack.UNREADABLE, did, str(exc))
            return
        if summary.blobs:
            with_blobs.add(did)

    async def _restore_database(self, group: ActorGroup, *, is_account: bool) -> bool:
        """Restore a database; return whether the account should be there at all."""
        store = self.target.layout.store(group.did)
        if store.exists():
            if self.keep and self.report.is_noted(group.did):
                return True
            await asyncio.to_thread(store.unlink)
        outcome = await self.restorer.restore(group.database, store)
        self.report.totals.read_bytes += outcome.read_bytes
        since_ms = self.services.pending.get(group.did, 0)
        if outcome.is_restored and outcome.newest_ms < since_ms and not self.options.as_of_ms:
            outcome = replace(outcome, pending_since_ms=since_ms)
        if outcome.is_restored:
            self.report.note(group.did, outcome)
        elif outcome.is_later and not is_account:
            self.report.totals.later_accounts += 1
            return False
        else:
            self.report.add(Lack.NO_DATABASE, group.did, outcome.reason)
        return True
