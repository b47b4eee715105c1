"""The service databases: always registered with a daemon of their own, and synced each second.

Litestream also looks at each of them every second by itself. Syncing them from here as well tells
how far the replica is behind, and whether it is reached at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from pds.replication.changes.signature import FilesSeen, look_at
from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.client import SYNC_S, LitestreamClient, patience_s
from pds.replication.litestream.continuity import TO_SEND_ANEW, ensure_continuity

INTERVAL_S: Final = 1.0
"""Between two looks at a database."""
MAX_BACKOFF_S: Final = 15.0
"""The longest pause while a sync fails."""
_UNREADABLE: Final = FilesSeen(signature=0, inode=0, changed_ms=0, bytes=0, is_certain=False)
"""Files that this user may not look at; the next request to the daemon tells why."""

OnSynced: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Takes the name of a database and its newest transaction in the replica; raises nothing."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class ServiceDatabase:
    """A database of the server as a whole."""

    name: str
    """Its name in the replica, wherever the file is."""
    path: Path
    is_optional: bool = False
    """Whether a server may do without it, such as without `hold.sqlite`."""


@dataclass(slots=True, frozen=True)
class ServiceStatus:
    """How far the replica is with one service database."""

    name: str
    is_there: bool
    synced_at_s: float | None
    """When the replica last had all of it, in Unix seconds; None: not in this run."""
    lag_s: float
    """For how long, at most, the oldest change has not been in the replica; 0: it has all."""
    txid: int
    """The newest transaction in the replica."""
    error: str | None
    """Why the last sync has failed; None if it has not."""
    trouble: Trouble | None
    """What kind of failure that is."""


class ServiceDatabases:
    """The service databases and their replication through the client of a daemon.

    `url_of` returns the place of a database by its name: `ReplicaUrl.for_litestream`. `on_synced`
    is awaited when another transaction of one is in the replica.
    """

    def __init__(
        self,
        client: LitestreamClient,
        databases: Iterable[ServiceDatabase],
        *,
        url_of: Callable[[str], str],
        interval_s: float = INTERVAL_S,
        longest_pause_s: float = MAX_BACKOFF_S,
        on_synced: OnSynced | None = None,
    ) -> None:
        pauses_s = (interval_s, max(longest_pause_s, interval_s))
        self._followers = [
            _Follower(client, database, url_of(database.name), pauses_s, on_synced)
            for database in databases
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow them. Nothing that fails later ends this."""
        self._tasks = [asyncio.create_task(one.follow()) for one in self._followers]

    async def stop(self) -> None:
        """Follow them no longer. May be repeated."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def register_again(self) -> None:
        """The daemon has started anew: for its `on_restart`."""
        for one in self._followers:
            one.forget()

    async def final_sync(self, *, timeout_s: float = SYNC_S) -> Sequence[ServiceStatus]:
        """Send what is left, after `stop` and after the last write; return where each stands.

        Databases that could not be sent whole have an `error`.
        """
        await asyncio.gather(*(one.finish(timeout_s) for one in self._followers))
        return self.statuses()

    def statuses(self) -> Sequence[ServiceStatus]:
        """Return where each stands, but for optional ones that are not there."""
        found = (one.status() for one in self._followers)
        return [status for status in found if status.is_there or status.error]


class _Follower:
    """One database."""

    def __init__(
        self,
        client: LitestreamClient,
        database: ServiceDatabase,
        url: str,
        pauses_s: tuple[float, float],
        on_synced: OnSynced | None,
    ) -> None:
        """`pauses_s` are the time between two looks, and the longest one after failures."""
        self._client = client
        self._database = replace(database, path=database.path.absolute())
        self._url = url
        self._on_synced = on_synced
        self._interval_s, self._longest_pause_s = pauses_s
        self._is_registered = False
        self._is_to_send_anew = False
        """Whether what Litestream knows of it is not to be trusted."""
        self._synced: int | None = None
        """The signature of the files that were last synced; None: they may have changed since."""
        self._clean_at_s = time.monotonic()
        """When the replica last had everything, as far as is known."""
        self._is_dirty = False
        self._synced_at_s: float | None = None
        self._txid = 0
        self._failed: LitestreamFailed | None = None

    async def follow(self) -> None:
        """Sync the database when it has changed, for ever."""
        pause_s = self._interval_s
        while True:
            await self._look()
            if self._failed is None:
                pause_s = self._interval_s
            else:
                pause_s = min(2 * pause_s, self._longest_pause_s)
            await asyncio.sleep(pause_s)

    async def finish(self, timeout_s: float) -> None:
        """Sync the database whether or not it seems to have changed."""
        self._synced = None
        await self._look(timeout_s)

    def forget(self) -> None:
        """The daemon does not know the database any more."""
        self._is_registered = False
        self._synced = None

    def status(self) -> ServiceStatus:
        """Return where it stands."""
        return ServiceStatus(
            name=self._database.name,
            is_there=self._files() is not None,
            synced_at_s=self._synced_at_s,
            lag_s=time.monotonic() - self._clean_at_s if self._is_dirty else 0.0,
            txid=self._txid,
            error=None if self._failed is None else str(self._failed),
            trouble=None if self._failed is None else self._failed.trouble,
        )

    async def _look(self, timeout_s: float | None = None) -> None:
        looked_at_s = time.monotonic()
        files = self._files()
        if files is None:
            await self._miss()
            return
        if files.signature == self._synced:
            self._clean_at_s = looked_at_s
            return
        self._is_dirty = True
        try:
            await self._sync(patience_s(files.bytes) if timeout_s is None else timeout_s)
        except LitestreamFailed as exc:
            self._fail(exc)
            await self._mend(exc.trouble)
            return
        except OSError as exc:
            self._fail(_forbidden(exc))
            return
        if self._failed is not None:
            _log.info("a service database is replicated again", database=self._database.name)
        self._failed = None
        self._is_dirty = False
        self._clean_at_s = looked_at_s
        self._synced_at_s = time.time()
        self._synced = files.signature if files.is_certain else None

    async def _sync(self, timeout_s: float) -> None:
        path = self._database.path
        if not self._is_registered:
            await self._register()
        try:
            synced = await self._client.sync(path, timeout_s=timeout_s)
        except LitestreamFailed as exc:
            if exc.trouble is not Trouble.NOT_REGISTERED:
                raise
            # The daemon has just started anew.
            await self._register()
            synced = await self._client.sync(path, timeout_s=timeout_s)
        txid, self._txid = self._txid, synced.replicated_txid
        if self._on_synced is not None and self._txid != txid:
            await self._on_synced(self._database.name, self._txid)

    async def _register(self) -> None:
        path = self._database.path
        if await asyncio.to_thread(ensure_continuity, path, anew=self._is_to_send_anew):
            _log.info("sending all of a service database", database=self._database.name)
        self._is_to_send_anew = False
        await self._client.register(path, self._url)
        self._is_registered = True

    async def _miss(self) -> None:
        """The file is not there, or not there any more."""
        if self._is_registered:
            await self._unregister()
        if self._database.is_optional:
            self._failed, self._is_dirty = None, False
        else:
            path = self._database.path
            self._fail(LitestreamFailed(f"{path} is missing", Trouble.DATABASE_GONE))

    async def _mend(self, trouble: Trouble) -> None:
        """Do what makes the next try succeed, as far as this program can."""
        if trouble in (Trouble.NOT_REGISTERED, Trouble.DAEMON_AWAY):
            self._is_registered = False
        elif trouble is Trouble.DATABASE_GONE:
            await self._unregister()
        elif trouble in TO_SEND_ANEW:
            await self._unregister()
            self._is_to_send_anew = True

    async def _unregister(self) -> None:
        self._is_registered = False
        with suppress(LitestreamFailed):
            await self._client.unregister(self._database.path)

    def _fail(self, failure: LitestreamFailed) -> None:
        if self._failed is None or self._failed.trouble is not failure.trouble:
            _log.error(
                "a service database is not replicated",
                database=self._database.name,
                trouble=str(failure.trouble),
                reason=str(failure),
            )
        self._failed = failure
        self._synced = None

    def _files(self) -> FilesSeen | None:
        """Look at the files; None if there is no database."""
        try:
            seen = look_at(str(self._database.path))
        except NotADirectoryError:
            return None
        except OSError:
            return _UNREADABLE
        # As long as it is empty, SQLite has yet to write the first page.
        return seen if seen is not None and seen.bytes else None


def _forbidden(exc: OSError) -> LitestreamFailed:
    """Say that Litestream's files beside a database cannot be used."""
    return LitestreamFailed(f"{exc.filename}: {exc.strerror}", Trouble.FORBIDDEN)
