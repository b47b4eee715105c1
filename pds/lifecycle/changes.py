"""Changes that span several stores, one of them possibly on another machine.

`journaled` records such a change before its first step and drops the entry after its last. When a
failure or a crash interrupts a change, it is settled, so that the stores agree again:

========  =============================================  =======================================
change    its steps                                      if interrupted
========  =============================================  =======================================
create    store, PLC operation, rows                     no rows: store deleted, DID withdrawn
handle    PLC operation, row                             the DID is reset to the handle of the row
identity  PLC operation of the user's own, event         event sent if the directory accepted it
delete    rows, event, store, older events               all steps repeated
========  =============================================  =======================================

Every step of settling is idempotent, so it may crash, too. After the first two changes, events are
emitted; `pds.recovery.start` detects missing ones by comparing states and handles. It could not
detect an operation that leaves the handle unchanged, so `identity` journals its event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from actor_store.errors import ActorStoreError, RepoNotFound
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError
from identity.plc import PlcError
from pds.peers.calls import by_all
from pds.peers.events import delete_events_of
from pds.peers.locks import account_lock
from pds.pending.journal import Entry
from pds.repos.damage import forget_damage
from pds.repos.stores import destroy
from repo.syntax import Did
from sequencer.events import AccountEvent, IdentityEvent
from sequencer.told import DELETED

if TYPE_CHECKING:
    from pds.context import AppContext

NEW: Final = "new"
"""Detail of a `create`: the DID is created along with the account."""
MOVED: Final = "moved"
"""Detail of a `create`: the DID already existed."""
IMPORTED: Final = "imported"
"""Detail of a `create`: as `MOVED`, and the repository is imported from a file."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def journaled(ctx: AppContext, entry: Entry) -> AsyncIterator[None]:
    """Run a `with` block whose steps are settled if it fails, or at the next start after a crash.

    Waits for other changes of the same account. Raises `DatabaseError` before the block if the
    entry cannot be written, and what the block raises.
    """
    async with account_lock(ctx, entry.did):
        under_way = ctx.unfinished.under_way
        under_way.add(entry)
        try:
            await ctx.unfinished.journal.add(entry)
            try:
                yield
            except BaseException as exc:
                if isinstance(exc, asyncio.CancelledError) or not await _settled(ctx, entry):
                    settle_later(ctx, entry)
                raise
            try:
                await ctx.unfinished.journal.drop(entry)
            except DatabaseError as exc:
                # Everything is done except deleting this row.
                _log.warning("finished, but still journaled", did=entry.did, reason=str(exc))
                settle_later(ctx, entry)
        finally:
            under_way.discard(entry)


@by_all
async def changes_under_way(ctx: AppContext) -> list[Entry]:
    """Return the changes that each process is making at the moment."""
    return list(ctx.unfinished.under_way)


async def settle_all(ctx: AppContext) -> None:
    """Settle the changes that the last run left, the PLC directory's part in the background."""
    for entry in ctx.unfinished.journal.entries():
        if entry.kind == "damaged":
            continue
        _log.info("settling an interrupted change", did=entry.did, kind=entry.kind)
        try:
            await _settle_here(ctx, entry)
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError) as exc:
            # The failure concerns one actor; if the log or the account database cannot be written
            # at all, that will show soon enough.
            _log.warning("not settled yet", did=entry.did, kind=entry.kind, reason=str(exc))
        settle_later(ctx, entry)


async def finish_deletion(ctx: AppContext, did: Did) -> None:
    """Delete an account, all its data, and its events except the one announcing the deletion."""
    await ctx.accounts.delete_account(did)
    if ctx.settings.wal_autocheckpoint is not None:
        ctx.checkpointer.empty(ctx.settings.account_db_path)
    if ctx.sequencer.log.last_state_of(did) != DELETED:
        await ctx.sequencer.append(AccountEvent(did, active=False, status="deleted"))
    await destroy(ctx, did)
    kept = ctx.sequencer.log.last_seq_of(did, "account")
    await delete_events_of(ctx, did, keep_seq=kept or 0)
    await ctx.did_resolver.forget(did)
    await forget_damage(ctx, did)


def settle_later(ctx: AppContext, entry: Entry) -> None:
    """Settle an interrupted change in the background, and retry until that succeeds."""

    async def settle() -> None:
        async with account_lock(ctx, entry.did):
            # Meanwhile, another change of this kind may have replaced the entry and completed.
            if entry in ctx.unfinished.journal.entries():
                await _settle(ctx, entry)

    ctx.unfinished.retrier.later((entry.kind, entry.did), settle)


async def _settled(ctx: AppContext, entry: Entry) -> bool:
    """Settle `entry` now; return False if it has to be retried later."""
    try:
        await _settle(ctx, entry)
    except Exception as exc:  # noqa: BLE001 (the caller is already raising a failure)
        _log.warning("not settled yet", did=entry.did, kind=entry.kind, reason=str(exc))
        return False
    return True


async def _settle(ctx: AppContext, entry: Entry) -> None:
    await _settle_here(ctx, entry)
    await _settle_directory(ctx, entry)
    await ctx.unfinished.journal.drop(entry)


async def _settle_here(ctx: AppContext, entry: Entry) -> None:
    """Settle the part of a change that involves only this machine."""
    account = ctx.accounts.find_account(entry.did, include_inactive=True)
    if entry.kind == "create" and account is None:
        await _undo_creation(ctx, entry.did, is_imported=entry.detail == IMPORTED)
    elif entry.kind == "delete":
        await finish_deletion(ctx, entry.did)


async def _settle_directory(ctx: AppContext, entry: Entry) -> None:
    """Make the PLC directory agree with the account's row. Raises `PlcError` while it cannot."""
    did = entry.did
    if not did.startswith("did:plc:") or entry.kind not in ("create", "handle", "identity"):
        return
    account = ctx.accounts.find_account(did, include_inactive=True)
    try:
        if entry.kind == "create" and account is None:
            if entry.detail == NEW and not _was_in_use(ctx, did):
                await _withdraw(ctx, did)
        elif entry.kind == "handle" and account is not None and account.handle is not None:
            await _point_back(ctx, did, entry.detail, account.handle)
        elif entry.kind == "identity" and account is not None:
            await _tell_of_operation(ctx, did, entry.detail)
    except PlcError as exc:
        if exc.is_failure:
            raise
        # A retry would be refused, too.
        _log.warning("the PLC directory refuses a correction", did=did, reason=str(exc))


async def _undo_creation(ctx: AppContext, did: Did, *, is_imported: bool) -> None:
    def is_new(actor: ActorStoreReader) -> bool:
        return actor.blob.count() == 0 and (is_imported or actor.record.count() == 0)

    try:
        if await ctx.actor_store.read(did, is_new) and not _was_told_of(ctx, did):
            await destroy(ctx, did)
            return
    except RepoNotFound:
        return
    _log.error("kept the store of a DID that has no account here", did=did)


def _was_in_use(ctx: AppContext, did: Did) -> bool:
    """Whether the account was complete: then the service database is older than the other files."""
    return ctx.actor_store.exists(did) or _was_told_of(ctx, did)


def _was_told_of(ctx: AppContext, did: Did) -> bool:
    return ctx.sequencer.log.last_state_of(did) is not None


async def _withdraw(ctx: AppContext, did: Did) -> None:
    """Tombstone a DID that was created for an account whose creation did not complete."""
    try:
        last = await ctx.plc.last_op(did)
    except PlcError as exc:
        if exc.is_absence:
            return
        raise
    if last.data is not None:
        await ctx.plc.tombstone(did, key=ctx.rotation_key)


async def _point_back(ctx: AppContext, did: Did, tried: str, handle: str) -> None:
    """Reset a DID that names the handle `tried` to the account's own handle."""
    if handle != tried and f"at://{tried}" in (await ctx.plc.data(did)).also_known_as:
        await ctx.plc.update_handle(did, handle, key=ctx.rotation_key)
    await ctx.did_resolver.forget(did)


async def _tell_of_operation(ctx: AppContext, did: Did, cid: str) -> None:
    """Emit the event of an operation, if it has become the DID's last one."""
    if str((await ctx.plc.last_op(did)).cid) == cid:
        await ctx.did_resolver.refresh(did)
        await ctx.sequencer.append(IdentityEvent(did))
