"""A whole restore, in order.

The databases of the server come first, because they tell which accounts there are. Everything else
may then be newer than they are: recovery brings an older event log up to newer stores, but cannot
bring back what a store has lost. Nothing is durable before the end, when the disk is synced once;
the marker goes last.
"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseDamaged
from pds.config.hold.secrets_file import HOLD_ENV
from pds.disk.data_directory import LOCK_FILE, DataDirectoryLock
from pds.disk.network_filesystem import existing_part, find_network_type
from pds.replication.copies.at_once import for_each_found
from pds.replication.errors import DamagedReplicaFile, ReplicationError, WrongKeySecret
from pds.replication.replica import names
from pds.replication.replica.manifest import CLEAR, RECIPIENT, Manifest, read_manifest
from pds.replication.restore import next_steps
from pds.replication.restore.actors import Actors
from pds.replication.restore.blobs import Blobs
from pds.replication.restore.database import DatabaseRestorer
from pds.replication.restore.layers import Layers
from pds.replication.restore.marker import MARKER, NOTES, Marker
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.patience import PatientReader
from pds.replication.restore.report import Lack, RestoreReport
from pds.replication.restore.secret_files import Opener, SecretFiles
from pds.replication.restore.services import NoAccounts, ServiceDatabases, mark_copy
from pds.replication.restore.target import SEQUENCER, RestoreTarget
from pds.reporting import Progress, no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from pds.replication.replica.place import ReplicaPlace, StoredFile

_RESERVED_AT_ONCE: Final = 16


@dataclass(slots=True)
class Restore:
    """A restore to be run once, or several times until it is not interrupted."""

    place: ReplicaPlace
    source: str
    """The URL of the place, without secrets: it is shown and kept."""
    target: RestoreTarget
    options: RestoreOptions = field(default_factory=RestoreOptions)
    opener: Opener | None = None
    """Opens sealed keys; None if the replica has none."""
    live: RestoreTarget | None = None
    """The files of the server whose accounts are restored, for the next steps in the report."""
    is_to_serve: bool = True
    """Whether a server is to start on it; False for a copy to look at."""
    progress: Progress = no_progress
    reader: PatientReader | None = None
    """Reads from `place`; made if None."""

    async def run(self) -> RestoreReport:
        """Restore everything that is wanted, and return what was lacking.

        The target is empty, or has this restore, interrupted. Raises `TargetNotEmpty`,
        `OtherRestore`, `NoAccounts`, `WrongKeySecret`, `DataDirectoryError`s, errors of the place
        and `OSError`; then, and when it is cancelled, the next run goes on with it.
        """
        started = time.monotonic()
        self._refuse_unusable()
        lock = DataDirectoryLock.acquire(self.target.directory, option="--to")
        try:
            try:
                report = await self._run_locked()
            except (NoAccounts, WrongKeySecret):
                self._leave_nothing(lock)
                raise
        finally:
            lock.release()
        report.took_s = time.monotonic() - started
        return report

    def _refuse_unusable(self) -> None:
        """Refuse a directory before there is a lock file in it. Raises `ReplicationError`s."""
        if Marker.find(self.target.directory) is None:
            self.target.check_empty()
        _refuse_root(self.target.directory)
        kind = find_network_type(self.target.directory)
        if kind is not None:
            raise ReplicationError(
                f"{self.target.directory} is on a network file system ({kind}), where SQLite loses "
                "data: restore to a local disk."
            )

    async def _run_locked(self) -> RestoreReport:
        marker = Marker.find(self.target.directory)
        if marker is None:
            self.target.check_empty()
            marker = Marker.write(self.target.directory, self.source, self.options)
        else:
            marker.check_same(self.source, self.options)
        keep = marker.trusts_files
        report = RestoreReport(
            self.source, str(self.target.directory), self.options.as_of_ms, is_resumed=keep
        )
        report.open_journal(self.target.directory / NOTES, keep=keep)
        # Notes of an earlier start of the machine are gone now: a run after this one may trust all.
        marker.renew()
        executor = ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="restore")
        try:
            await self._restore(report, executor, keep=keep)
        finally:
            report.close_journal()
            executor.shutdown(wait=True, cancel_futures=True)
        self.progress("disk", 0, 0)
        await asyncio.to_thread(os.sync)
        marker.remove()
        self._add_next_steps(report)
        return report

    async def _restore(
        self, report: RestoreReport, executor: ThreadPoolExecutor, *, keep: bool
    ) -> None:
        reader = self.reader or PatientReader(self.place)
        await self._refuse_sealed_keys()
        options, target = self.options, self.target
        restorer = DatabaseRestorer(reader, executor, as_of_ms=options.as_of_ms)
        secrets = SecretFiles(reader, self.opener)
        services = ServiceDatabases(reader, restorer, target, report)
        if options.services:
            self.progress("databases of the server", 0, 0)
            await services.restore(keep=keep)
        with_blobs: set[str] = set()
        actors = Actors(
            reader, restorer, secrets, services, target, options, report, self.progress, keep
        )
        await actors.restore(with_blobs)
        if options.keys and options.services:
            await self._restore_reserved_keys(reader, secrets, report)
            await self._restore_hold_env(reader, secrets, report)
        if options.blobs and target.blobs is not None:
            accounts = services.dids if options.dids is None else options.dids
            blobs = Blobs(reader, target, target.blobs, options, report, self.progress, accounts)
            await blobs.restore(with_blobs)
            if options.services:
                await Layers(reader, target.blobs, report, self.progress).restore()
        if options.services and self.is_to_serve:
            try:
                await asyncio.to_thread(mark_copy, target)
            except DatabaseDamaged as exc:
                report.add(Lack.UNREADABLE, SEQUENCER, exc.reason)
        report.totals.read_bytes += secrets.read_bytes

    async def _refuse_sealed_keys(self) -> None:
        """Raise `WrongKeySecret` if all keys would be left out for lack of a secret."""
        if not self.options.keys or self.opener is not None:
            return
        manifest: Manifest | None = None
        with suppress(DamagedReplicaFile):
            manifest = await read_manifest(self.place)
        if manifest is not None and manifest.sealing != CLEAR:
            needed = (
                f"for {manifest.recipient}: give the file of its age identity with `--identity`"
                if manifest.sealing == RECIPIENT
                else "with a passphrase: set PDS_REPLICATION_KEY_PASSPHRASE"
            )
            raise WrongKeySecret(
                f"The signing keys in the replica are encrypted {needed}. `--without-keys` "
                "restores everything else."
            )

    async def _restore_reserved_keys(
        self, reader: PatientReader, secrets: SecretFiles, report: RestoreReport
    ) -> None:
        async def restore(copy: StoredFile) -> None:
            name = copy.name.removeprefix(names.RESERVED_KEYS).removesuffix(names.SEALED)
            name = names.decode_did(name)
            try:
                path = self.target.layout.reserved_key(name)
            except InvalidStoreName:
                return
            reason = await secrets.restore([copy], path)
            if reason is None:
                report.totals.reserved_keys += 1
            else:
                report.add(Lack.DAMAGED_KEY, name, reason)

        await for_each_found(reader.list(names.RESERVED_KEYS), restore, at_once=_RESERVED_AT_ONCE)

    async def _restore_hold_env(
        self, reader: PatientReader, secrets: SecretFiles, report: RestoreReport
    ) -> None:
        wanted = (HOLD_ENV, HOLD_ENV + names.SEALED)
        copies = [file async for file in reader.list(HOLD_ENV) if file.name in wanted]
        if not copies:
            return
        reason = await secrets.restore(copies, self.target.hold_env, is_key=False)
        if reason is not None:
            report.add(Lack.DAMAGED_KEY, HOLD_ENV, reason)

    def _add_next_steps(self, report: RestoreReport) -> None:
        if not self.is_to_serve:
            return
        if self.options.services:
            report.next_steps += next_steps.after_everything(self.target)
        elif self.options.dids is not None and self.live is not None:
            report.next_steps += next_steps.after_accounts(
                self.options.dids, self.target, self.live
            )

    def _leave_nothing(self, lock: DataDirectoryLock) -> None:
        """Let the operator try again with another URL or secret, if there is nothing yet."""
        directory = self.target.directory
        if any(path.exists() for path in (*self.target.services.values(), self.target.actors)):
            return
        for name in (NOTES, *((LOCK_FILE,) if lock.made_directory else ())):
            (directory / name).unlink(missing_ok=True)
        Marker(directory / MARKER, {}).remove()
        if lock.made_directory:
            with suppress(OSError):
                directory.rmdir()


def _refuse_root(directory: Path) -> None:
    """Refuse to let root make files for another user's server, which could not read them."""
    part = existing_part(directory)
    owner = part.stat().st_uid
    if os.geteuid() == 0 and owner != 0 and part == directory:
        raise ReplicationError(
            f"{directory} belongs to another user (uid {owner}), whose server could not read files "
            f"of root. Repeat the command as that user: `sudo --user='#{owner}' pds restore …`."
        )
