"""Importing a repository that comes as a CAR, and telling the firehose of it.

An account that moves in is deactivated: nobody is told of its repository before it is activated,
so the commit stays as it came. An active account has consumers, so it gets a commit of its own
over the imported records, and a `#sync` event with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.importing import import_car
from identity.resolver import DidResolutionError
from pds.commits import sequence, sync_event, wait_for_log
from pds.quotas import check_growth, find_quota
from pds.spool import Spool
from pds.xrpc.errors import XrpcError, invalid_request
from repo.keys import PublicKey, parse_did_key

if TYPE_CHECKING:
    from actor_store.transactor import ActorStoreTransactor
    from pds.context import AppContext
    from repo.car import ByteSource
    from repo.commit import Head
    from repo.syntax import Did

_PAGE_CACHE_KIB: Final = 64 * 1024
"""About what the tables of 60,000 records take."""

_log = structlog.get_logger(__name__)


class Imports:
    """The imports that are under way."""

    def __init__(self) -> None:
        self._dids: set[str] = set()
        # Each takes the memory of its page cache, and a whole processor.
        self.loading = asyncio.Semaphore(1)
        """Held by the one whose CAR is being loaded."""

    @contextmanager
    def begun(self, did: str) -> Iterator[None]:
        """A `with` block for an import of this account. Raises `XrpcError` during another one."""
        if did in self._dids:
            # Their bodies would wait on the disk for each other.
            raise XrpcError(503, message="Another import of this repository is under way. Wait.")
        self._dids.add(did)
        try:
            yield
        finally:
            self._dids.remove(did)


class _ImportStopped(Exception):
    """Nobody waits for the import any more."""


async def import_repo(ctx: AppContext, did: Did, chunks: AsyncIterable[bytes]) -> None:
    """Replace the repository of an account by that of a CAR.

    Raises `XrpcError` 400 if the DID has no document and 503 if another import is under way,
    `BodyTooLarge`, `SpoolFull`, `QuotaExceeded`, and what `import_car` and
    `ActorStore.transact_in_thread` raise. In any case nothing has been changed.
    """
    with ctx.imports.begun(did), Spool(ctx.settings.data_directory) as spool:
        await spool.fill(chunks, max_bytes=ctx.settings.max_repo_import_bytes)
        keys = await _signing_keys(ctx, did)
        # The account is neither activated nor deleted meanwhile.
        async with ctx.imports.loading, ctx.recovery.lock(did):
            await _load(ctx, did, spool, keys)
    await ctx.actor_store.settle_uploads(did)


async def _signing_keys(ctx: AppContext, did: Did) -> list[PublicKey]:
    """The keys that may have signed: that of the DID document, and the one kept here."""
    try:
        document = await ctx.did_resolver.resolve(did, force=True)
    except DidResolutionError as exc:
        raise invalid_request(str(exc)) from exc
    named = document.signing_key()
    keys = [ctx.actor_store.key(did).public]
    return keys if named is None else [parse_did_key(named), *keys]


async def _load(ctx: AppContext, did: Did, source: ByteSource, keys: list[PublicKey]) -> None:
    account = ctx.accounts.get_account(did, include_inactive=True)
    quota = find_quota(ctx, did)
    started = time.monotonic()
    stopped = threading.Event()

    def proceed() -> None:
        if stopped.is_set():
            raise _ImportStopped

    def load(actor: ActorStoreTransactor) -> tuple[Head, bytes, int]:
        used_bytes = actor.usage.used_bytes()
        imported = import_car(actor, source, keys=keys, proceed=proceed)
        head = actor.renew_commit() if account.deactivated_at is None else imported.head
        check_growth(actor, quota, used_bytes)
        return head, actor.repo.get_block(head.cid), imported.records

    await wait_for_log(ctx)
    try:
        head, block, records = await ctx.actor_store.transact_in_thread(
            did, load, page_cache_kib=_PAGE_CACHE_KIB
        )
    except asyncio.CancelledError:
        stopped.set()
        raise
    # Nothing is awaited between the COMMIT and this, as for any commit.
    account = ctx.accounts.get_account(did, include_inactive=True)
    if account.deactivated_at is None:
        await sequence(ctx, sync_event(did, cid=head.cid, rev=head.rev, block=block), head)
    else:
        ctx.accounts.repo_roots.set(did, head.cid, head.rev)
    _log.info(
        "imported a repository",
        did=did,
        rev=head.rev,
        records=records,
        took_ms=round((time.monotonic() - started) * 1000),
    )
