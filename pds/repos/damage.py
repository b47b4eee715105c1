"""Accounts with damaged files: only they are quarantined, and the reason is logged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from actor_store.errors import ActorStoreDamaged, RepoNotFound, SigningKeyUnusable
from database.errors import DatabaseForbidden, DatabaseUnsynced
from pds.disk.remedies import give_to_server, restore_database, restore_key
from pds.peers.calls import by_all, telling, told
from pds.pending.journal import Entry, read_damaged
from repo.syntax import Did

if TYPE_CHECKING:
    from pathlib import Path

    from actor_store.layout import ActorLayout
    from pds.read_context import ReadContext

_log = structlog.get_logger(__name__)


def quarantine(ctx: ReadContext, did: Did, reason: str, cause: Exception | None = None) -> None:
    """Refuse all access to the store of `did` until the next start, and log the reason."""
    ctx.actor_store.quarantine(did, reason)
    ctx.peers.tell_others(telling(_quarantine, did, reason))
    report(ctx, did, reason, cause)


@told
def _quarantine(ctx: ReadContext, did: Did, reason: str) -> None:
    ctx.actor_store.quarantine(did, reason)


def report(ctx: ReadContext, did: Did, reason: str, cause: Exception | None = None) -> None:
    """Log a damaged store once, and re-check it at the next start.

    The logged remedy depends on `cause`; None means that the store is missing.
    """
    if did in ctx.unfinished.damaged:
        return
    ctx.unfinished.damaged.add(did)
    path = ctx.actor_store.layout.store(did)
    _log.error(
        "an account is not served: its store is damaged",
        did=did,
        file=str(path),
        reason=reason,
        remedy=_remedy(ctx.actor_store.layout, did, cause),
    )
    # After a clean stop, the next start checks only the stores that the journal names.
    entry = Entry("damaged", did, reason)
    ctx.unfinished.retrier.later(
        (entry.kind, did), partial(ctx.unfinished.journal.add, entry, durably=False)
    )


def keep_unknown_back(ctx: ReadContext, database: Path, failure: DatabaseUnsynced) -> None:
    """Keep from everybody what a store may have lost, since a sync of it has failed."""
    did = ctx.actor_store.layout.find_did(database)
    if did is not None:
        ctx.sequencer.withhold(did, failure)
        quarantine(ctx, Did(did), failure.reason, failure)


async def forget_damage(ctx: ReadContext, did: Did) -> None:
    """Forget the damage of an account that has been repaired or deleted."""
    # Each process may have found it.
    await _forget_damage(ctx, did)
    if did in read_damaged(ctx.accounts.db):
        await ctx.unfinished.journal.drop(Entry("damaged", did), durably=False)


@by_all
async def _forget_damage(ctx: ReadContext, did: Did) -> None:
    ctx.unfinished.damaged.discard(did)
    ctx.unfinished.retrier.forget(("damaged", did))


def report_damage(ctx: ReadContext, exc: Exception) -> Exception:
    """Return the error to respond with for `exc`, after reporting it if it is damage.

    A missing store of an existing account is damage, too: clients would take "not found" for a
    deleted account.
    """
    if isinstance(exc, RepoNotFound) and ctx.accounts.find_account(exc.did, include_inactive=True):
        exc = ActorStoreDamaged(exc.did, f"{ctx.actor_store.layout.store(exc.did)} is missing")
    if isinstance(exc, ActorStoreDamaged):
        report(ctx, Did(exc.did), exc.reason, exc)
    return exc


def _remedy(layout: ActorLayout, did: Did, cause: Exception | None) -> str:
    deeper: BaseException | None = cause
    while deeper is not None:
        if isinstance(deeper, DatabaseForbidden):
            return give_to_server(deeper.path)
        if isinstance(deeper, PermissionError) and deeper.filename is not None:
            return give_to_server(deeper.filename)
        deeper = deeper.__cause__
    if isinstance(cause, DatabaseUnsynced):
        return "Check the kernel log and the disk. The next start reads what is there."
    if isinstance(cause, SigningKeyUnusable):
        return restore_key(layout.key(did))
    return restore_database(layout.store(did))
