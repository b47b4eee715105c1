"""`Library`: stores, accounts and events, kept in step with the CAR files.

A file is loaded in a process of its own into a new database, which then replaces the old one
atomically. So the old state of a repository is served until the new one is.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog

from actor_store.errors import ActorStoreError
from actor_store.keyed_locks import KeyedLocks
from database.errors import DatabaseError
from identity.did_document import DidDocument
from identity.resolver import DidNotFound, DidResolutionError
from identity.signers import NotSigned, find_signer
from pds.readonly.car_files import CarFile, find_car_files, shown_path
from pds.readonly.catalog import Catalog, CatalogedCar, CatalogedRepo, SignatureState, Verification
from pds.readonly.loaders import Loaders
from pds.readonly.loading import BadCar, LoadedCar, public_reason, remove_store
from pds.readonly.progress import OnProgress, Work, nobody, tell
from pds.repos.commits import sync_event
from pds.repos.imports import tell_of_odd
from repo.cid import Cid
from repo.commit import Commit, decode_commit
from repo.keys import parse_did_key
from repo.mst import MissingBlock
from repo.syntax import Did, Handle
from sequencer.events import AccountEvent, IdentityEvent

if TYPE_CHECKING:
    from pds.read_context import ReadContext

RESOLVING_AT_ONCE: Final = 16
"""The number of DID documents resolved concurrently."""

_log = structlog.get_logger(__name__)

_Read: TypeAlias = Callable[[CarFile, Path], Awaitable[LoadedCar | BadCar]]
"""Loads a file into a new database."""


@dataclass(slots=True)
class Counts:
    """The results for the files that were examined."""

    loaded: int = 0
    unchanged: int = 0
    refused: int = 0
    removed: int = 0


@dataclass(slots=True)
class Look:
    """The result of scanning all files: those to load, and the counts so far."""

    changed: list[CarFile]
    counts: Counts


class _Refused(Exception):
    """A file is not served; the message gives the reason, for everyone."""

    def __init__(self, reason: str, details: str | None = None) -> None:
        self.details = details
        """More for the operator, if there is more to say."""
        super().__init__(reason)


class Library:
    """The repositories of a read-only server."""

    def __init__(
        self,
        ctx: ReadContext,
        catalog: Catalog,
        *,
        places: Sequence[str],
        directory: Path,
        verification: Verification,
        handles: Mapping[Did, Handle],
        processes: int,
    ) -> None:
        """`directory` is for databases under construction; `handles` override DID documents."""
        self._ctx = ctx
        self._catalog = catalog
        self._places = places
        self._directory = directory
        self._verification = verification
        self._handles = handles
        self._processes = processes
        self._resolving = asyncio.Semaphore(RESOLVING_AT_ONCE)
        self._serving = KeyedLocks()
        self.waiting = 0
        """The number of files yet to be loaded."""

    async def update(self, on_progress: OnProgress | None = None) -> Counts:
        """Scan all files, and load those that are new or changed."""
        return await self.load(await self.look(), on_progress)

    async def drop_unfinished(self) -> None:
        """Drop what a crash has left of repositories that are not in the catalog."""
        for did in await asyncio.to_thread(lambda: list(self._ctx.actor_store.iter_dids())):
            if self._catalog.find_repo(did) is None:
                await self._drop(Did(did))

    async def look(self, *, again: bool = False) -> Look:
        """Scan all files, and drop the repositories of those that are gone.

        With `again`, files that could not be loaded before are to be loaded as well, since the
        reason may be gone.
        """
        files = await asyncio.to_thread(find_car_files, self._places)
        counts = Counts()
        await self._drop_missing({file.path for file in files}, counts)
        known = self._catalog.cars()
        changed = [
            file for file in files if not self._is_known(known.get(file.path), file, again=again)
        ]
        counts.unchanged = len(files) - len(changed)
        return Look(changed, counts)

    async def load(self, look: Look, on_progress: OnProgress | None = None) -> Counts:
        """Load the files that `look` has found, in processes. `on_progress` is called often."""
        files, counts = look.changed, look.counts
        if not files:
            return counts
        loaders = Loaders(min(self._processes, len(files)))
        # A few more than there are processes, so that none of them waits for this one.
        waiting = asyncio.Semaphore(2 * self._processes)
        work = Work(sum(file.size_bytes for file in files))
        telling = asyncio.create_task(tell(work, on_progress or nobody))

        async def read(file: CarFile, store: Path) -> LoadedCar | BadCar:
            async with waiting:
                with work.on(file, store):
                    return await loaders.load(file.path, store)

        async def load(file: CarFile) -> None:
            await self._load(file, read, counts)
            self.waiting -= 1

        self.waiting = len(files)
        try:
            async with asyncio.TaskGroup() as tasks:
                for file in files:
                    tasks.create_task(load(file))
        finally:
            telling.cancel()
            loaders.close()
        return counts

    async def ask_again(self) -> None:
        """Retry DID documents that could not be resolved when their repositories were loaded."""
        if self._verification == "available":
            async with asyncio.TaskGroup() as tasks:
                for repo in self._catalog.repos_without_document():
                    tasks.create_task(self._complete(repo))

    def _is_known(self, car: CatalogedCar | None, file: CarFile, *, again: bool) -> bool:
        if car is None or (again and car.problem is not None):
            return False
        return car.file == file and car.verification == self._verification

    async def _load(self, file: CarFile, read: _Read, counts: Counts) -> None:
        store = self._directory / f"{secrets.token_hex(8)}.sqlite"
        did, rev, problem, details = None, None, None, None
        try:
            loaded = await read(file, store)
            if isinstance(loaded, BadCar):
                raise _Refused(loaded.reason, loaded.details)
            did, rev = loaded.did, loaded.commit.rev
            await self._serve(file, loaded, store)
            for before in self._catalog.dids_of(file.path):
                if before != did:
                    await self._drop(before)
            counts.loaded += 1
        except _Refused as exc:
            problem, details = str(exc), exc.details
        except (ActorStoreError, DatabaseError, OSError) as exc:
            problem, details = f"it cannot be loaded: {public_reason(exc)}", str(exc)
        except Exception as exc:  # noqa: BLE001 (no failure may affect the other files)
            _log.exception("loading a CAR file failed unexpectedly", file=shown_path(file.path))
            problem = f"it cannot be loaded: {public_reason(exc)}"
        finally:
            remove_store(store)
        car = CatalogedCar(file, self._verification, did, rev, problem)
        self._note(car, counts, details=details)

    def _note(self, car: CatalogedCar, counts: Counts, *, details: str | None = None) -> None:
        """Record the result for a file; if that fails, the next start loads the file again.

        `details` are only for the log: what is recorded is shown to strangers.
        """
        if car.problem is not None:
            counts.refused += 1
            name = shown_path(car.file.path)
            _log.warning("a CAR file is not served", file=name, reason=details or car.problem)
        try:
            self._catalog.put_car(car)
        except DatabaseError as exc:
            _log.error("the catalog of CAR files cannot be written", reason=str(exc))

    async def _serve(self, file: CarFile, loaded: LoadedCar, store: Path) -> None:
        did = loaded.did
        document = await self._document_of(did)
        cid = Cid.parse(loaded.cid)
        signature = await self._check_signature(cid, loaded.commit, document)
        handle = self._handles.get(did) or (document.handle if document else None)
        # Of two files of one repository that are loaded concurrently, the newer must win.
        async with self._serving[did]:
            served = self._catalog.find_repo(did)
            if served is not None and served.path != file.path and served.rev >= loaded.commit.rev:
                state = "the same" if served.rev == loaded.commit.rev else "a newer"
                name, path = (shown_path(one) for one in (served.path.name, served.path))
                raise _Refused(
                    f"{name} has {state} state of {did}", f"{path} has {state} state of {did}"
                )
            await self._ctx.actor_store.adopt(did, store)
            await self._ctx.accounts.upsert_hosted(
                did, handle=handle, cid=loaded.cid, rev=loaded.commit.rev
            )
            if served is None or served.cid != loaded.cid:
                await self._announce(loaded, handle)
            # Last: a repository missing here is loaded, and announced, once more.
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
                    name=loaded.name,
                    signature=signature,
                )
            )
        tell_of_odd(did, loaded.odd)

    async def _complete(self, repo: CatalogedRepo) -> None:
        """Set a repository's handle and verify its signature, if its DID document resolves now."""
        did, cid = repo.did, Cid.parse(repo.cid)
        document = await self._document_of(did)
        if document is None:
            return
        handle = self._handles.get(did) or document.handle
        async with self._serving[did]:
            if self._catalog.find_repo(did) != repo:
                return
            try:
                block = await self._ctx.actor_store.read(
                    did, lambda actor: actor.repo.get_block(cid)
                )
                signature = await self._check_signature(cid, decode_commit(block), document)
                await self._ctx.accounts.upsert_hosted(
                    did, handle=handle, cid=repo.cid, rev=repo.rev
                )
                await self._ctx.sequencer.append(IdentityEvent(did, handle))
                raw = dict(document.raw)
                self._catalog.put_repo(
                    replace(repo, handle=handle, did_doc=raw, signature=signature)
                )
            except _Refused as exc:
                car = self._catalog.cars().get(repo.path)
                await self._drop(did)
                if car is not None:
                    self._note(replace(car, problem=str(exc)), Counts())
            except (ActorStoreError, DatabaseError, MissingBlock) as exc:
                _log.error("a repository could not be verified", did=did, reason=str(exc))

    async def _announce(self, loaded: LoadedCar, handle: str | None) -> None:
        did, cid, rev = loaded.did, Cid.parse(loaded.cid), loaded.commit.rev
        await self._ctx.sequencer.append(
            IdentityEvent(did, handle),
            AccountEvent(did, active=True),
            sync_event(did, cid=cid, rev=rev, block=loaded.block),
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
            level("DID document unavailable", did=did, reason=exc.reason)
            return None

    async def _check_signature(
        self, cid: Cid, commit: Commit, document: DidDocument | None
    ) -> SignatureState:
        if document is None:
            return "unchecked"
        key = document.signing_key()
        if key is None:
            if self._verification == "strict":
                raise _Refused("the signature cannot be verified: the DID document has no key")
            return "unchecked"
        try:
            async with self._resolving:
                await find_signer(cid, commit, [parse_did_key(key)], self._ctx.plc)
        except NotSigned as exc:
            raise _Refused(str(exc)) from exc
        return "valid"

    async def _drop_missing(self, present: set[Path], counts: Counts) -> None:
        for path in self._catalog.cars().keys() - present:
            self._catalog.forget_car(path)
            for did in self._catalog.dids_of(path):
                await self._drop(did)
                counts.removed += 1

    async def _drop(self, did: Did) -> None:
        self._catalog.forget_repo(did)
        # An older copy may be in another file, which is loaded now.
        self._catalog.forget_cars_of(did)
        await self._ctx.accounts.delete_account(did)
        await self._ctx.sequencer.append(AccountEvent(did, active=False, status="deleted"))
        await self._ctx.actor_store.destroy(did)
