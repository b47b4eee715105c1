"""Importing a repository from a CAR, and emitting the event for it.

An account that migrates here is deactivated or still being created. No events are emitted for it
until it is activated, so the commit is stored as imported. An active account has consumers, so a
new commit over the imported records is signed and a `#sync` event emitted with it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.bulk_rows import UNORDERED_INDEXES
from actor_store.importing import ImportedRepo, import_car, parse_commit
from identity.resolver import DidResolutionError
from identity.signers import NotSigned, find_signer
from pds.disk.spool import Spool
from pds.peers.calls import by_all, by_owner, in_time
from pds.peers.locks import account_lock
from pds.pending.import_turns import ImportUnderWay
from pds.repos.blobs import settle_uploads
from pds.repos.commits import sequence, sync_event, wait_for_log
from pds.repos.errors import ImportRefused
from repo.car import MAX_BLOCK_BYTES
from repo.car_census import take_census
from repo.keys import PublicKey, parse_did_key

if TYPE_CHECKING:
    from actor_store.records import OddRecords
    from actor_store.transactor import ActorStoreTransactor
    from pds.context import AppContext
    from pds.pending.import_turns import Sender
    from repo.car import ByteSource
    from repo.cid import Cid
    from repo.commit import Commit
    from repo.syntax import Did

_PAGE_CACHE_KIB: Final = 64 * 1024
"""Roughly the size of the tables for 60,000 records."""

_WAYS_OUT: Final = {
    True: "If the CAR is nevertheless that of the account, the operator of this server can bring "
    "it, with `pds car import --key` or `--ignore-signature`",
    False: "Try again later, or ask the operator of this server to bring it, with "
    "`pds car import --key` or `--ignore-signature`",
}
"""What to do about a CAR that no known key has signed, by whether that is certain."""

_log = structlog.get_logger(__name__)


class _ImportStopped(Exception):
    """The caller no longer waits for the import."""


async def import_repo(
    ctx: AppContext,
    did: Did,
    chunks: AsyncIterable[bytes],
    sender: Sender,
    *,
    earlier_keys: Sequence[PublicKey] = (),
) -> None:
    """Replace the repository of an account with the one in a CAR.

    `earlier_keys` are known to have been the account's, whatever its DID says now.

    Raises `ImportRefused` if the DID has no document or none of its keys signed, `ImportUnderWay`,
    `TooBusy`, `ClientLeft` while it waits for its turn, `BodyTooLarge`, `SpoolFull`,
    `QuotaExceeded`, and what `take_census`, `import_car` and `ActorStore.transact_in_thread`
    raise. Nothing has been changed if it raises.
    """
    await refuse_second_import(ctx, did)
    await ctx.open_files.until_room(1)
    with (
        ctx.imports.begun(did) as begun,
        Spool(ctx.settings.data_directory, ctx.imports.room, sender.holder) as spool,
    ):
        await spool.fill(chunks, max_bytes=ctx.settings.max_repo_import_bytes)
        begun.size_bytes = spool.size_bytes
        keys = [*await _signing_keys(ctx, did), *earlier_keys]
        # The lock keeps the account from being activated or deleted during the import.
        async with ctx.imports.loading(begun, sender), account_lock(ctx, did):
            found = await asyncio.to_thread(_look_through, spool, did)
            if found is not None:
                keys = [await _find_signer(ctx, *found, keys)]
            await load_repo(ctx, did, spool, keys)
    await settle_uploads(ctx, did)


async def refuse_second_import(ctx: AppContext, did: Did) -> None:
    """Raise `ImportUnderWay` if any process of the server imports this repository."""
    for progress in await in_time(_progress_of_import(ctx, did)):
        if progress is not None:
            raise ImportUnderWay(progress)


@by_all
async def _progress_of_import(ctx: AppContext, did: Did) -> str | None:
    return ctx.imports.find_progress(did)


def _look_through(spool: Spool, did: Did) -> tuple[Cid, Commit] | None:
    """Run the cheap checks before anything is stored; return the root block's CID and commit."""
    found = take_census(spool, size_bytes=spool.size_bytes, max_block_bytes=MAX_BLOCK_BYTES)
    spool.rewind()
    if found is None:
        return None
    root, block = found
    return root, parse_commit(root, block, did=did, keys=None)


async def _find_signer(
    ctx: AppContext, root: Cid, commit: Commit, keys: Sequence[PublicKey]
) -> PublicKey:
    try:
        return await find_signer(root, commit, keys, ctx.plc)
    except NotSigned as exc:
        raise ImportRefused(f"{exc}. {_WAYS_OUT[exc.is_certain]}") from exc


async def _signing_keys(ctx: AppContext, did: Did) -> list[PublicKey]:
    """Return the most likely signing keys: the one in the DID document and the one stored here."""
    try:
        document = await ctx.did_resolver.resolve(did, force=True)
    except DidResolutionError as exc:
        raise ImportRefused(str(exc)) from exc
    named = document.signing_key()
    keys = [ctx.actor_store.key(did).public]
    return keys if named is None else [parse_did_key(named), *keys]


@by_owner
async def load_repo(
    ctx: AppContext,
    did: Did,
    source: ByteSource,
    keys: Sequence[PublicKey] | None,
    *,
    ignores_quota: bool = False,
) -> ImportedRepo:
    """Replace the repository of an account, which may be about to be created, with that of a CAR.

    Call it within `Imports.loading` and while holding the account's lock. `keys` is passed to
    `import_car`. Raises as `import_repo` does.
    """
    is_active = _is_active(ctx, did)
    # The store of an account that is still being created is discarded on failure.
    is_new = ctx.accounts.find_account(did, include_inactive=True) is None
    started = time.monotonic()
    stopped = threading.Event()

    def check_cancelled() -> None:
        if stopped.is_set():
            raise _ImportStopped

    def load(actor: ActorStoreTransactor) -> tuple[ImportedRepo, bytes]:
        imported = import_car(
            actor,
            source,
            keys=keys,
            on_batch=check_cancelled,
            postponed=UNORDERED_INDEXES if is_new else (),
        )
        if is_active:
            imported = replace(imported, head=actor.renew_commit())
        return imported, actor.repo.get_block(imported.head.cid)

    await wait_for_log(ctx)
    try:
        imported, block = await ctx.actor_store.transact_in_thread(
            did, load, page_cache_kib=_PAGE_CACHE_KIB, ignores_quota=ignores_quota
        )
    except asyncio.CancelledError:
        stopped.set()
        raise
    # As for any commit, nothing is awaited between the COMMIT and this.
    head = imported.head
    if _is_active(ctx, did):
        await sequence(ctx, sync_event(did, cid=head.cid, rev=head.rev, block=block), head)
    elif ctx.accounts.find_account(did, include_inactive=True) is not None:
        ctx.accounts.repo_roots.set(did, head.cid, head.rev)
    _log.info(
        "imported a repository",
        did=did,
        rev=head.rev,
        records=imported.records,
        took_ms=round((time.monotonic() - started) * 1000),
    )
    tell_of_odd(did, imported.odd)
    return imported


def tell_of_odd(did: str, odd: OddRecords) -> None:
    """Log a warning about imported records that clients may not write."""
    if odd.count:
        _log.warning(
            "a repository has odd records, kept as they are",
            did=did,
            count=odd.count,
            examples=[f"{one.uri}: {one.reason}" for one in odd.examples[:3]],
        )


def _is_active(ctx: AppContext, did: Did) -> bool:
    """Whether the account may have consumers. A taken-down account counts, as it may have some."""
    account = ctx.accounts.find_account(did, include_inactive=True)
    return account is not None and account.deactivated_at is None
