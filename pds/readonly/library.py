"""`Library`: stores, accounts and events, kept in step with the CAR files.

A file is loaded in a process of its own into a new database, which then takes the place of the
one before in one step. So a repository is served as it was until it is served as it is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from identity.did_document import DidDocument
from identity.resolver import DidNotFound, DidResolutionError
from pds.commits import sync_event
from pds.readonly.car_files import CarFile, find_car_files, shown_path
from pds.readonly.catalog import Catalog, CatalogedCar, CatalogedRepo, SignatureState, Verification
from pds.readonly.loading import BadCar, LoadedCar, load_car
from repo.cid import Cid
from repo.keys import parse_did_key
from repo.syntax import Did, Handle
from sequencer.events import AccountEvent, IdentityEvent

if TYPE_CHECKING:
    from pds.context import AppContext

RESOLVING_AT_ONCE: Final = 16
"""DID documents asked for at the same time."""

_log = structlog.get_logger(__name__)

OnProgress = Callable[[int, int], None]
"""Told how many files are done, of how many."""


@dataclass(slots=True)
class Counts:
    """What became of the files that were looked at."""

    loaded: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0


class _Refused(Exception):
    """A file is not served; the message says why."""


class Library:
    """The repositories of a read-only server."""

    def __init__(
        self,
        ctx: AppContext,
        catalog: Catalog,
        *,
        places: Sequence[str],
        directory: Path,
        verification: Verification,
        handles: Mapping[Did, Handle],
        processes: int,
    ) -> None:
        """`directory` is for databases that are being made; `handles` wins over DID documents."""
        self._ctx = ctx
        self._catalog = catalog
        self._places = places
        self._directory = directory
        self._verification = verification
        self._handles = handles
        self._processes = processes
        self._resolving = asyncio.Semaphore(RESOLVING_AT_ONCE)
        self._alone = asyncio.Lock()

    async def update(self, on_progress: OnProgress | None = None, *, again: bool = False) -> Counts:
        """Look at all files; load those that are new or changed, drop those that are gone.

        With `again` also those that could not be loaded before, for the reason may be gone.
        """
        files = await asyncio.to_thread(find_car_files, self._places)
        known = self._catalog.cars()
        counts = Counts()
        await self._drop_missing(known, {file.path for file in files}, counts)
        changed = [
            file for file in files if not self._is_known(known.get(file.path), file, again=again)
        ]
        counts.unchanged = len(files) - len(changed)
        if changed:
            await self._load_all(changed, counts, on_progress or _nobody)
        return counts

    def _is_known(self, car: CatalogedCar | None, file: CarFile, *, again: bool) -> bool:
        if car is None or (again and car.problem is not None):
            return False
        return car.file == file and car.verification == self._verification

    async def _load_all(
        self, files: Sequence[CarFile], counts: Counts, on_progress: OnProgress
    ) -> None:
        """Load files in processes, a few more than there are cores waiting their turn."""
        done = 0
        waiting = asyncio.Semaphore(2 * self._processes)
        pool = _new_pool(self._processes)

        async def load(file: CarFile) -> None:
            nonlocal done
            async with waiting:
                await self._load(pool, file, counts)
            done += 1
            on_progress(done, len(files))

        try:
            async with asyncio.TaskGroup() as tasks:
                for file in files:
                    tasks.create_task(load(file))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _load(self, pool: ProcessPoolExecutor, file: CarFile, counts: Counts) -> None:
        store = self._directory / f"{secrets.token_hex(8)}.sqlite"
        did, rev, problem = None, None, None
        try:
            loaded = await self._read(pool, file, store)
            did, rev = loaded.did, loaded.commit.rev
            await self._serve(file, loaded, store)
            counts.loaded += 1
        except (_Refused, ActorStoreError, DatabaseError, OSError) as exc:
            problem = str(exc)
            counts.refused += 1
            _log.warning("a CAR file is not served", file=shown_path(file.path), reason=problem)
        finally:
            for leftover in self._directory.glob(f"{store.name}*"):
                leftover.unlink(missing_ok=True)
        self._catalog.put_car(CatalogedCar(file, self._verification, did, rev, problem))

    async def _read(self, pool: ProcessPoolExecutor, file: CarFile, store: Path) -> LoadedCar:
        try:
            loaded = await _load_in(pool, file, store)
        except BrokenProcessPool:
            # Some file has ended a process, and with it the pool: by itself it is found out.
            loaded = await self._read_alone(file, store)
        if isinstance(loaded, BadCar):
            raise _Refused(loaded.reason)
        return loaded

    async def _read_alone(self, file: CarFile, store: Path) -> LoadedCar | BadCar:
        async with self._alone:
            pool = _new_pool(1)
            try:
                return await _load_in(pool, file, store)
            except BrokenProcessPool:
                return BadCar("the process that read it has ended, perhaps for lack of memory")
            finally:
                pool.shutdown(wait=False)

    async def _serve(self, file: CarFile, loaded: LoadedCar, store: Path) -> None:
        did = loaded.did
        served = self._catalog.find_repo(did)
        if served is not None and served.path != file.path and served.rev >= loaded.commit.rev:
            raise _Refused(f"{shown_path(served.path)} has a newer state of {did}")
        document = await self._document_of(did)
        signature = self._check_signature(loaded, document)
        handle = self._handles.get(did) or (document.handle if document else None)
        await self._ctx.actor_store.adopt(did, store)
        await self._ctx.accounts.host(did, handle=handle, cid=loaded.cid, rev=loaded.commit.rev)
        self._catalog.put_repo(
            CatalogedRepo(
                did=did,
                handle=handle,
                did_doc=dict(document.raw) if document else None,
                cid=loaded.cid,
                rev=loaded.commit.rev,
                path=file.path,
                size_bytes=file.size_bytes,
                records=loaded.records,
                signature=signature,
            )
        )
        if served is None or served.cid != loaded.cid:
            await self._announce(loaded, handle)

    async def _announce(self, loaded: LoadedCar, handle: str | None) -> None:
        did = loaded.did
        cid = Cid.parse(loaded.cid)
        block = await self._ctx.actor_store.read(did, lambda actor: actor.repo.get_block(cid))
        await self._ctx.sequencer.append(
            IdentityEvent(did, handle),
            AccountEvent(did, active=True),
            sync_event(did, cid=cid, rev=loaded.commit.rev, block=block),
        )

    async def _document_of(self, did: Did) -> DidDocument | None:
        if self._verification == "offline":
            return None
        try:
            async with self._resolving:
                return await self._ctx.did_resolver.resolve(did)
        except DidResolutionError as exc:
            if self._verification == "strict":
                raise _Refused(f"the signature cannot be verified: {exc}") from exc
            level = _log.info if isinstance(exc, DidNotFound) else _log.warning
            level("a DID document could not be had", did=did, reason=exc.reason)
            return None

    def _check_signature(self, loaded: LoadedCar, document: DidDocument | None) -> SignatureState:
        if document is None:
            return "unchecked"
        key = document.signing_key()
        if key is None:
            if self._verification == "strict":
                raise _Refused("the signature cannot be verified: the DID document has no key")
            return "unchecked"
        if not loaded.commit.verify(parse_did_key(key)):
            raise _Refused(f"the commit {loaded.cid} is not signed by the key of {loaded.did}")
        return "valid"

    async def _drop_missing(
        self, known: Mapping[Path, CatalogedCar], present: Iterable[Path], counts: Counts
    ) -> None:
        for path in known.keys() - set(present):
            self._catalog.forget_car(path)
            did = known[path].did
            repo = None if did is None else self._catalog.find_repo(did)
            if did is not None and repo is not None and repo.path == path:
                await self._drop(did)
                counts.removed += 1
                # An older copy of it may be there, which now has its turn.
                for other in known.values():
                    if other.did == did:
                        self._catalog.forget_car(other.file.path)

    async def _drop(self, did: Did) -> None:
        self._catalog.forget_repo(did)
        await self._ctx.accounts.delete_account(did)
        await self._ctx.sequencer.append(AccountEvent(did, active=False, status="deleted"))
        await self._ctx.actor_store.destroy(did)


async def watch(library: Library, *, every_s: float) -> None:
    """Keep looking for new and changed files, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        try:
            counts = await library.update()
        except (DatabaseError, OSError) as exc:
            _log.warning("the CAR files could not be looked at", reason=str(exc))
            continue
        if counts.loaded or counts.refused or counts.removed:
            _log.info(
                "the CAR files have changed",
                loaded=counts.loaded,
                refused=counts.refused,
                removed=counts.removed,
            )


def _new_pool(processes: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process has threads and open databases.
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


async def _load_in(pool: ProcessPoolExecutor, file: CarFile, store: Path) -> LoadedCar | BadCar:
    """Load a file in another process, into a new database. Raises `BrokenProcessPool`."""
    return await asyncio.get_running_loop().run_in_executor(pool, load_car, file.path, store)


def _nobody(_done: int, _total: int) -> None:
    """Nobody wants to see progress."""
