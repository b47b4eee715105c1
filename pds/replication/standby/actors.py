"""The databases of accounts: those of which the ledger tells something new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import InvalidStoreName
from database.errors import DatabaseError
from pds.replication.copies.at_once import for_each
from pds.replication.replica import names
from pds.replication.restore.listing import ActorGroup, iter_actors
from pds.replication.restore.reading import read_dids, reading
from pds.replication.restore.target import ACCOUNT
from pds.replication.standby.databases import remove_database

if TYPE_CHECKING:
    from pds.replication.ltx.names import LtxFile
    from pds.replication.restore.patience import PatientReader
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.databases import Databases
    from pds.replication.standby.ledger_copy import LedgerCopy
    from pds.replication.standby.ledger_rows import LedgerActor
    from pds.replication.standby.state import StandbyState

_PAGE: Final = 500
_ACCOUNT: Final = "SELECT 1 FROM actor WHERE did = ?"
_MOST_DELETED: Final = 10_000
_RETRY_S: Final = 60.0
"""After an account could not be brought as far as the replica."""
_MAX_PROBLEMS: Final = 1_000
"""Accounts that are tried again; others wait for their next change, or for the next start."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Problem:
    text: str
    retry_s: float


@dataclass(slots=True)
class Actors:
    """The accounts of a standby."""

    databases: Databases
    state: StandbyState
    ledger: LedgerCopy
    reader: PatientReader
    target: RestoreTarget
    parallelism: int
    seen: int = 0
    """The highest `changed` of the ledger up to which everything is applied. 0 at each start, so
    that all accounts are compared once."""
    behind: int = 0
    """How many accounts are known to be behind at the moment."""
    applied: int = 0
    deleted: int = 0
    time_ms: int = 0
    """When the newest change that was applied was noticed on the primary, in Unix milliseconds."""
    problems: dict[str, _Problem] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)
    """Accounts whose files are gone on the primary, but not their rows in `account.sqlite`: a disk
    that is not mounted must not empty the standby as well."""

    async def advance(self) -> None:
        """Bring all accounts as far as the ledger is. Raises what `Databases.advance` raises."""
        while True:
            async with self.ledger.rows() as rows:
                page = rows.actors(after=self.seen, limit=_PAGE)
            if not page:
                break
            await self._apply([actor for actor in page if self._is_behind(actor)])
            self.seen = page[-1].changed
        await self._delete_doomed()
        await self._retry()

    async def advance_all(self, *, on_advanced: Callable[[str], object]) -> None:
        """Bring all accounts as far as the replica is, which may be further than its ledger.

        Takes one listing of the replica, and calls `on_advanced` for accounts that were behind.
        """
        accounts = await asyncio.to_thread(self._find_accounts) or set()
        async with aclosing(iter_actors(self.reader)) as groups:
            chunk: list[ActorGroup] = []
            async for group in groups:
                chunk.append(group)
                if len(chunk) == _PAGE:
                    await self._apply_groups(chunk, accounts, on_advanced)
                    chunk = []
            await self._apply_groups(chunk, accounts, on_advanced)

    async def remove_keys_of_deleted(self, since_ms: int) -> None:
        """Delete keys of accounts that were deleted so lately that the ledger has them still.

        Only before a promotion: as long as the ledger has a key, it may be used once more.
        """
        async with self.ledger.rows() as rows:
            dids = rows.deleted_since(since_ms, limit=_MOST_DELETED)
        for did in dids:
            with suppress(InvalidStoreName):
                key = self.target.layout.key(did)
                if self.state.find(names.actor_database(did)) is None:
                    await asyncio.to_thread(_delete_key, key)

    async def remove_unknown(self) -> None:
        """Delete the databases of accounts of which neither ledger nor `account.sqlite` knows.

        They were deleted while the standby was away for longer than the replica remembers.
        """
        accounts = await asyncio.to_thread(self._find_accounts)
        if accounts is None:
            return
        after = names.ACTORS
        while page := self.state.page(after=after, limit=_PAGE):
            after = page[-1]
            dids = [did for name in page if (did := _did_of(name)) and did not in accounts]
            async with self.ledger.rows() as rows:
                unknown = [did for did in dids if rows.find_actor(did) is None]
            for did in unknown:
                await self._delete(did, self.target.layout.store(did))

    def _find_accounts(self) -> set[str] | None:
        """Return the DIDs of all accounts; None if `account.sqlite` cannot be read."""
        try:
            return read_dids(self.target.services[ACCOUNT])
        except DatabaseError:
            return None

    def _is_behind(self, actor: LedgerActor) -> bool:
        known = self.state.find(names.actor_database(actor.did))
        if actor.is_deleted:
            return known is not None
        if actor.txid == 0:
            return False
        if known is None or known.begun != actor.begun or known.txid < actor.txid:
            return True
        with suppress(InvalidStoreName):
            return not self.target.layout.store(actor.did).exists()
        return False

    async def _apply(self, actors: Collection[LedgerActor]) -> None:
        self.behind = len(actors)

        async def apply(actor: LedgerActor) -> None:
            await self._apply_one(actor)
            self.behind -= 1

        await for_each(actors, apply, at_once=self.parallelism)

    async def _apply_one(self, actor: LedgerActor) -> None:
        try:
            store = self.target.layout.store(actor.did)
        except InvalidStoreName:
            return  # No server would find it.
        if actor.is_deleted:
            self.doomed.add(actor.did)
        else:
            self.doomed.discard(actor.did)
            await self._advance_one(actor.did, store, begun=actor.begun)

    async def _advance_one(
        self, did: str, store: Path, *, begun: int, files: list[LtxFile] | None = None
    ) -> bool:
        await asyncio.to_thread(store.parent.mkdir, parents=True, exist_ok=True)
        name = names.actor_database(did)
        advanced = await self.databases.advance(name, store, begun=begun, files=files)
        self.applied += advanced.has_changed
        self.time_ms = max(self.time_ms, advanced.time_ms)
        if not advanced.problem:
            self.problems.pop(did, None)
        else:
            if did not in self.problems:
                _log.warning("an account is not as new", did=did, reason=advanced.problem)
            if did in self.problems or len(self.problems) < _MAX_PROBLEMS:
                retry_s = time.monotonic() + _RETRY_S
                self.problems[did] = _Problem(advanced.problem, retry_s)
        return advanced.has_changed

    async def _apply_groups(
        self,
        groups: list[ActorGroup],
        accounts: set[str],
        on_advanced: Callable[[str], object],
    ) -> None:
        wanted: list[tuple[ActorGroup, int]] = []
        async with self.ledger.rows() as rows:
            for group in groups:
                actor = rows.find_actor(group.did)
                is_live = group.did in accounts or (actor is not None and not actor.is_deleted)
                if is_live and self._has_newer(group):
                    wanted.append((group, 0 if actor is None else actor.begun))

        async def apply(item: tuple[ActorGroup, int]) -> None:
            group, begun = item
            with suppress(InvalidStoreName):
                store = self.target.layout.store(group.did)
                files = group.database
                if await self._advance_one(group.did, store, begun=begun, files=files):
                    on_advanced(group.did)

        await for_each(wanted, apply, at_once=self.parallelism)

    def _has_newer(self, group: ActorGroup) -> bool:
        known = self.state.find(names.actor_database(group.did))
        newest = max((file.name.last for file in group.database), default=0)
        return newest > (0 if known is None else known.txid)

    async def _delete_doomed(self) -> None:
        if not self.doomed:
            return
        gone = await asyncio.to_thread(self._without_account, sorted(self.doomed)[:_MOST_DELETED])
        for did in gone:
            await self._delete(did, self.target.layout.store(did))

    def _without_account(self, dids: list[str]) -> list[str]:
        """Return those that `account.sqlite` does not have; none if it cannot be read."""
        try:
            with reading(self.target.services[ACCOUNT]) as db:
                return [did for did in dids if db.one(_ACCOUNT, (did,)) is None]
        except DatabaseError:
            return []

    async def _delete(self, did: str, store: Path) -> None:
        # The note goes last: without it, a file that is left would not be looked for.
        await asyncio.to_thread(_delete_files, store)
        self.state.forget(names.actor_database(did))
        self.problems.pop(did, None)
        self.doomed.discard(did)
        self.deleted += 1

    async def _retry(self) -> None:
        now_s = time.monotonic()
        due = [did for did, problem in self.problems.items() if problem.retry_s <= now_s]
        if not due:
            return
        async with self.ledger.rows() as rows:
            actors = [actor for did in due if (actor := rows.find_actor(did)) is not None]
        await self._apply(actors)


def _did_of(name: str) -> str | None:
    parts = name.split("/")
    return names.decode_did(parts[2]) if len(parts) == 4 else None


def _delete_key(key: Path) -> None:
    key.unlink(missing_ok=True)
    with suppress(OSError):
        key.parent.rmdir()


def _delete_files(store: Path) -> None:
    remove_database(store)
    # Its key is another matter: see `secrets`.
    with suppress(OSError):
        store.parent.rmdir()
