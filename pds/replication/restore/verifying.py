"""A restore of some or all accounts to a scratch directory, compared with the live files.

`pds doctor` then examines the directory: `scratch_environ` has the settings for it, and `dids` the
accounts to look at, for a sample leaves the others without a database.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from database.opening import open_database
from database.wal import wal_path
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.reading import read_dids, summarize_store
from pds.replication.restore.report import RestoreReport
from pds.replication.restore.restoring import Restore
from pds.replication.restore.target import ACCOUNT, RestoreTarget, scratch_environ
from pds.reporting import Progress, no_progress
from repo.tid import InvalidTid, decode_tid

if TYPE_CHECKING:
    from database.connection import Database
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.restore.secret_files import Opener

LAG_S: Final = 60.0
"""How old a change may be that has not reached the replica."""


@dataclass(slots=True, frozen=True)
class LateAccount:
    """An account whose newest change has not reached the replica in time."""

    did: str
    restored_rev: str | None
    live_rev: str
    late_s: float
    """For how long the replica has lacked the newest commit, in seconds."""


@dataclass(slots=True)
class Verification:
    """What was restored, and how it compares."""

    report: RestoreReport
    environ: dict[str, str]
    """The settings for `pds doctor`."""
    dids: list[str]
    """The accounts that were restored."""
    is_sample: bool
    compared: int = 0
    """Accounts whose live files could be read, too."""
    behind: int = 0
    """Accounts whose newest commit is so new that the replica need not have it."""
    late: list[LateAccount] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    """Accounts of which the replica has a newer commit than the live files."""

    @property
    def is_sound(self) -> bool:
        """Whether the replica lacks nothing that it should have; doctor may know better."""
        return self.report.is_complete and not self.late and not self.ahead

    def to_json(self) -> dict[str, Any]:
        """Return everything but the settings, which have secrets."""
        return {
            "restore": self.report.to_json(),
            "sample": self.is_sample,
            "accounts": len(self.dids),
            "compared": self.compared,
            "behind": self.behind,
            "late": [
                {
                    "did": one.did,
                    "restoredRev": one.restored_rev,
                    "liveRev": one.live_rev,
                    "seconds": round(one.late_s, 3),
                }
                for one in self.late
            ],
            "ahead": self.ahead,
        }


@dataclass(slots=True)
class Verifier:
    """Restores to `scratch`, which must be empty and is not removed afterwards."""

    place: ReplicaPlace
    source: str
    scratch: Path
    live: RestoreTarget
    """The files of the server that is replicated; they need not be there, or readable."""
    environ: Mapping[str, str]
    """The settings of that server."""
    opener: Opener | None = None
    lag_s: float = LAG_S
    progress: Progress = no_progress
    choices: random.Random = field(default_factory=random.SystemRandom)

    async def verify(
        self,
        *,
        sample: int | None = None,
        dids: frozenset[str] | None = None,
        options: RestoreOptions | None = None,
    ) -> Verification:
        """Restore `sample` accounts at random, those named, or all, and compare them.

        `options` say what else of them. Raises what `Restore.run` raises.
        """
        started_s = time.time()
        options = options or RestoreOptions()
        if sample is not None:
            dids = await self._choose(sample, options)
        target = self._target()
        restore = Restore(
            self.place,
            self.source,
            target,
            replace(options, dids=dids),
            opener=self.opener,
            is_to_serve=False,
            progress=self.progress,
        )
        report = await restore.run()
        restored = await asyncio.to_thread(lambda: sorted(target.layout.iter_dids()))
        result = Verification(
            report,
            scratch_environ(self.environ, target.directory),
            restored,
            is_sample=dids is not None,
        )
        for did in restored:
            await asyncio.to_thread(self._compare, did, target, result, started_s)
        return result

    async def _choose(self, count: int, options: RestoreOptions) -> frozenset[str]:
        """Restore the databases of the server alone, and choose from its accounts."""
        target = RestoreTarget.within(self.scratch / "accounts", blobs=False)
        restore = Restore(
            self.place,
            self.source,
            replace(target, services={ACCOUNT: target.services[ACCOUNT]}),
            replace(options, dids=frozenset(), keys=False, blobs=False),
            is_to_serve=False,
        )
        await restore.run()
        known = sorted(await asyncio.to_thread(read_dids, target.services[ACCOUNT]))
        return frozenset(self.choices.sample(known, min(count, len(known))))

    def _target(self) -> RestoreTarget:
        return RestoreTarget.within(self.scratch / "server", blobs=self.live.blobs is not None)

    def _compare(
        self, did: str, target: RestoreTarget, result: Verification, started_s: float
    ) -> None:
        live = _live_rev(self.live, did)
        if live is None:
            return
        try:
            restored = summarize_store(target.layout.store(did)).rev
        except DatabaseError:
            restored = None
        result.compared += 1
        if restored == live:
            return
        if restored is not None and restored > live:
            result.ahead.append(did)
            return
        late_s = started_s - _time_s(live)
        if late_s > self.lag_s:
            result.late.append(LateAccount(did, restored, live, late_s))
        else:
            result.behind += 1


def _live_rev(live: RestoreTarget, did: str) -> str | None:
    """Return the rev of a live account; None if its files are not there or not readable."""
    try:
        path = live.layout.store(did)
        wal = wal_path(path)
        if not wal.exists() or not wal.stat().st_size:
            return summarize_store(path).rev
        with closing(_open(path)) as db:
            rev: str | None = db.value("SELECT rev FROM repo_root LIMIT 1")
            return rev
    except (InvalidStoreName, DatabaseError, OSError):
        return None


def _open(path: Path) -> Database:
    return open_database(path, create=False, read_only=True, wal_autocheckpoint=None)


def _time_s(rev: str) -> float:
    """Return when a commit was made, in Unix seconds; 0 if its rev does not tell."""
    try:
        return decode_tid(rev)[0] / 1e6
    except InvalidTid:
        return 0.0
