"""Changes that touch several places, one of them perhaps outside of this machine.

`journaled` notes such a change before its first step and forgets it after its last. When one is
cut off by a failure or by a crash, `settle` brings the places together again:

========  =============================================  =======================================
change    its steps                                      cut off
========  =============================================  =======================================
create    store, PLC operation, rows                     no rows: store deleted, DID withdrawn
handle    PLC operation, row                             the DID gets back the handle of the row
identity  PLC operation of the user's own, event         the event, if the directory took it
delete    rows, event, store, older events               all of it again
========  =============================================  =======================================

Every step of settling may be repeated, so a crash while it runs harms nothing. Events follow the
first two; where they are missing, `pds.recovery.start` finds that by comparing. That is not
possible for an operation that leaves the handle as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import ActorStoreError, RepoNotFound
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError
from identity.plc import PlcError
from pds.pending.journal import Entry
from pds.repos.damage import forget_damage
from repo.syntax import Did
from sequencer.events import AccountEvent, IdentityEvent
from sequencer.log import DELETED

if TYPE_CHECKING:
    from pds.context import AppContext

NEW: Final = "new"
"""Detail of a `create`: its DID has been made here, too."""
MOVED: Final = "moved"
"""Detail of a `create`: the DID existed before."""
IMPORTED: Final = "imported"
"""Detail of a `create`: as `MOVED`, and the store gets the repository of a file."""

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def journaled(ctx: AppContext, entry: Entry) -> AsyncIterator[None]:
    """A `with` block whose steps are settled if it fails, or after a crash at the next start.

    Waits for other changes of the same account. Raises `DatabaseError` before the block if the
    entry cannot be written, and what the block raises.
    """
    async with ctx.unfinished.lock(entry.did):
        await ctx.unfinished.journal.add(entry)
        try:
            yield
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError) or not await _settled(ctx, entry):
                _settle_later(ctx, entry)
            raise
        try:
            await ctx.unfinished.journal.drop(entry)
        except DatabaseError as exc:
            # All is done but for this row.
            _log.warning("finished, but still journaled", did=entry.did, reason=str(exc))
            _settle_later(ctx, entry)


async def settle_all(ctx: AppContext) -> None:
    """Settle what the last run left; the PLC directory's part of it in the background."""
    for entry in ctx.unfinished.journal.entries():
        if entry.kind == "damaged":
            continue
        _log.info("settling a change that was cut off", did=entry.did, kind=entry.kind)
        try:
            await _settle_here(ctx, entry)
        except (ActorStoreError, DatabaseError, OSError) as exc:
            # Of one actor; that the log and the accounts can be written is seen soon enough.
            _log.warning("not settled yet", did=entry.did, kind=entry.kind, reason=str(exc))
        _settle_later(ctx, entry)


async def finish_deletion(ctx: AppContext, did: Did) -> None:
    """Delete an account and all it has; of its events only the one that says so stays."""
    await ctx.accounts.delete_account(did)
    if ctx.settings.wal_autocheckpoint is not None:
        ctx.checkpointer.empty(ctx.settings.account_db_path)
    if ctx.sequencer.log.last_state_of(did) != DELETED:
        await ctx.sequencer.append(AccountEvent(did, active=False, status="deleted"))
    await ctx.actor_store.destroy(did)
    kept = ctx.sequencer.log.last_seq_of(did, "account")
    await ctx.sequencer.delete_events_of(did, keep_seq=kept or 0)
    ctx.did_resolver.forget(did)
    await forget_damage(ctx, did)


def _settle_later(ctx: AppContext, entry: Entry) -> None:
    async def settle() -> None:
        async with ctx.unfinished.lock(entry.did):
            # Meanwhile another change of the kind may have taken its place, and be complete.
            if entry in ctx.unfinished.journal.entries():
                await _settle(ctx, entry)

    ctx.unfinished.retrier.later((entry.kind, entry.did), settle)


async def _settled(ctx: AppContext, entry: Entry) -> bool:
    """Settle `entry` now; False if that must wait."""
    try:
        await _settle(ctx, entry)
    except Exception as exc:  # noqa: BLE001 (the caller has a failure to tell of already)
        _log.warning("not settled yet", did=entry.did, kind=entry.kind, reason=str(exc))
        return False
    return True


async def _settle(ctx: AppContext, entry: Entry) -> None:
    await _settle_here(ctx, entry)
    await _settle_directory(ctx, entry)
    await ctx.unfinished.journal.drop(entry)


async def _settle_here(ctx: AppContext, entry: Entry) -> None:
    """Bring account and store together, as far as that is done on this machine."""
    account = ctx.accounts.find_account(entry.did, include_inactive=True)
    if entry.kind == "create" and account is None:
        await _undo_creation(ctx, entry.did, is_imported=entry.detail == IMPORTED)
    elif entry.kind == "delete":
        await finish_deletion(ctx, entry.did)


async def _settle_directory(ctx: AppContext, entry: Entry) -> None:
    """Let the DID say what the account says. Raises `PlcError` while that is not possible."""
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
        if exc.status >= 500:
            raise
        # It will not think otherwise next time.
        _log.warning("the PLC directory refuses to be mended", did=did, reason=str(exc))


async def _undo_creation(ctx: AppContext, did: Did, *, is_imported: bool) -> None:
    def is_new(actor: ActorStoreReader) -> bool:
        return actor.blob.count() == 0 and (is_imported or actor.record.count() == 0)

    try:
        if await ctx.actor_store.read(did, is_new) and not _was_told_of(ctx, did):
            await ctx.actor_store.destroy(did)
            return
    except RepoNotFound:
        return
    _log.error("kept the store of a DID that has no account here", did=did)


def _was_in_use(ctx: AppContext, did: Did) -> bool:
    """Whether there was an account after all: then the service database is older than the rest."""
    return ctx.actor_store.exists(did) or _was_told_of(ctx, did)


def _was_told_of(ctx: AppContext, did: Did) -> bool:
    return ctx.sequencer.log.last_state_of(did) is not None


async def _withdraw(ctx: AppContext, did: Did) -> None:
    """End a DID that was made for an account which never came to be."""
    try:
        last = await ctx.plc.last_op(did)
    except PlcError as exc:
        if exc.status in (404, 410):
            return
        raise
    if last.data is not None:
        await ctx.plc.tombstone(did, key=ctx.rotation_key)


async def _point_back(ctx: AppContext, did: Did, tried: str, handle: str) -> None:
    """Let a DID that names the handle `tried` name the account's own again."""
    if handle != tried and f"at://{tried}" in (await ctx.plc.data(did)).also_known_as:
        await ctx.plc.update_handle(did, handle, key=ctx.rotation_key)
    ctx.did_resolver.forget(did)


async def _tell_of_operation(ctx: AppContext, did: Did, cid: str) -> None:
    """Tell of an operation, if it has become the DID's last one."""
    if str((await ctx.plc.last_op(did)).cid) == cid:
        await ctx.did_resolver.refresh(did)
        await ctx.sequencer.append(IdentityEvent(did))
