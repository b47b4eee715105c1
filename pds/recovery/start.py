"""Recovery at start: before the first request, log and stores and accounts agree again.

In this order, each step on the ground of those before it:

1. changes of several places that were cut off are finished or undone (`changes`);
2. states and handles of accounts that the log does not tell are told (`told_states`);
3. every store written to since shortly before the last event is compared with the log, and
   the difference mended (`stores`); so is every one that was damaged before;
4. so is every one whose head may not have been written to the service database (`heads`).

After an orderly stop there is nothing to do but what the journal names, unless one of the service
databases has been put back to an older state, or the operator asks for a look at every store.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseFull
from database.timestamps import epoch_s_of
from pds.disk.data_directory import CHECK_FILE, RUN_FILE
from pds.lifecycle.changes import settle_all
from pds.pending.journal import Entry
from pds.pending.run_record import join_run
from pds.recovery.changed_files import StoreFiles, find_stores
from pds.recovery.check_file import read_since_s, write_since_s
from pds.recovery.heads import mend_heads
from pds.recovery.missing_events import add_missing_events
from pds.recovery.stores import mend_store
from pds.repos.damage import quarantine
from sequencer.events import timestamp

if TYPE_CHECKING:
    from pathlib import Path

    from pds.accounts.account import ActorAccount
    from pds.context import AppContext

WINDOW_S: Final = 180.0
"""How far before the last event a write may be lost: several times as long as systems keep
written pages in memory only (Linux: 30 seconds)."""

_log = structlog.get_logger(__name__)


async def recover(ctx: AppContext) -> None:
    """Mend what the last stop has left; to be awaited before the first request.

    On a full disk some of it has to wait, and repositories are served to be read only: see
    `Unfinished.finish`. Raises another `DatabaseError` if the service database or the log cannot be
    read or written. Damage of one actor's files holds back that actor.
    """
    try:
        await _recover(ctx)
    except DatabaseFull as exc:
        _log.error(
            "recovery waits until the disk has room; no repository takes writes before",
            file=str(exc.path),
            reason=exc.reason,
            remedy="Free space. The server goes on by itself.",
        )
        finish = ctx.unfinished.finish = partial(_finish, ctx, asyncio.Lock())
        ctx.unfinished.retrier.later("recovery", finish)


async def _finish(ctx: AppContext, lock: asyncio.Lock) -> None:
    async with lock:
        if ctx.unfinished.finished:
            return
        # Both fail at once where there is no room, before everything is looked at; and what was to
        # be told the last time is told before it is looked for again.
        ctx.sequencer.mark_running()
        await ctx.sequencer.append()
        await _recover(ctx)
        ctx.unfinished.finish = None
        _log.info("recovered after all: repositories take writes")


async def _recover(ctx: AppContext) -> None:
    if ctx.unfinished.same_run is None:
        ctx.unfinished.same_run = _join_run(ctx)
    check_file = ctx.settings.data_directory / CHECK_FILE
    since_s = _find_since_s(ctx, check_file)
    await settle_all(ctx)
    await _look_again_at_damaged(ctx)
    if since_s is not None:
        await _mend_everything(ctx, since_s)
    elif ctx.accounts.repo_roots.complete_at_s is None:
        # A version that did not note it may have left old ones.
        await mend_heads(ctx, list(ctx.accounts.store.iter_all()))
    ctx.accounts.repo_roots.mark_complete()
    ctx.sequencer.run.mark_recovered()
    ctx.unfinished.finished = True
    check_file.unlink(missing_ok=True)


def _join_run(ctx: AppContext) -> bool:
    known_ms = int((ctx.accounts.repo_roots.complete_at_s or 0.0) * 1000)
    marker = ctx.settings.data_directory / RUN_FILE
    return join_run(ctx.accounts.db, ctx.sequencer, marker, known_ms=known_ms)


def _find_since_s(ctx: AppContext, check_file: Path) -> float | None:
    """Since when what has changed is to be looked at, in Unix seconds; None for not at all.

    Noted for the next try before this one tells anything, which makes the log younger.
    """
    asked_s = read_since_s(check_file)
    unknown = not ctx.unfinished.same_run or ctx.sequencer.run.was_unclean or _log_is_gone(ctx)
    if asked_s is None and not unknown:
        return None
    newest = ctx.sequencer.log.newest_time()
    log_s = epoch_s_of(newest) - WINDOW_S if newest else 0.0
    if log_s > ctx.sequencer.now_ms() / 1000:
        log_s = 0.0  # The clock was ahead then, and says nothing about files.
    times = (log_s, asked_s, ctx.unfinished.since_s)
    since_s = min(time_s for time_s in times if time_s is not None)
    ctx.unfinished.since_s = since_s
    write_since_s(check_file, since_s)
    return since_s


async def _mend_everything(ctx: AppContext, since_s: float) -> None:
    started = time.monotonic()
    active_since = ctx.sequencer.log.repos_since(timestamp(max(0, int(since_s * 1000))))
    files = await asyncio.to_thread(find_stores, ctx.actor_store.layout)
    accounts = list(ctx.accounts.store.iter_all())
    _report_orphans(ctx, accounts, files)
    told = await add_missing_events(ctx, accounts)
    suspects = active_since | files.changed_since(since_s)
    mended = 0
    for account in accounts:
        if account.did not in files.present:
            quarantine(ctx, account.did, f"{ctx.actor_store.layout.store(account.did)} is missing")
        elif account.did in suspects:
            await mend_store(ctx, account, may_lack_commits=ctx.sequencer.run.power_may_have_failed)
            mended += 1
    heads_since_s = (ctx.accounts.repo_roots.complete_at_s or 0.0) - WINDOW_S
    listed = files.changed_since(heads_since_s) - suspects
    mended += await mend_heads(ctx, (account for account in accounts if account.did in listed))
    _log.info(
        "files were compared and mended",
        stores_checked=mended,
        states_told=told,
        accounts_held_back=len(ctx.unfinished.damaged),
        took_ms=round((time.monotonic() - started) * 1000),
    )


async def _look_again_at_damaged(ctx: AppContext) -> None:
    for entry in ctx.unfinished.journal.entries():
        if entry.kind == "damaged" and await _is_sound_again(ctx, entry):
            await ctx.unfinished.journal.drop(entry, durably=False)


async def _is_sound_again(ctx: AppContext, entry: Entry) -> bool:
    account = ctx.accounts.find_account(entry.did, include_inactive=True)
    # Restored from a backup, so it may lack commits; the log tells which.
    return account is None or await mend_store(ctx, account, may_lack_commits=False)


def _log_is_gone(ctx: AppContext) -> bool:
    """Whether there is no event, though there are accounts: a log that was moved away."""
    return ctx.sequencer.current_seq == 0 and next(ctx.accounts.store.iter_all(), None) is not None


def _report_orphans(ctx: AppContext, accounts: list[ActorAccount], files: StoreFiles) -> None:
    """Tell of stores without an account. They are kept: only a lost row makes one of them."""
    unfinished = {entry.did for entry in ctx.unfinished.journal.entries()}
    for did in files.present - unfinished - {account.did for account in accounts}:
        _log.warning(
            "a store has no account; it is kept",
            did=did,
            file=str(ctx.actor_store.layout.store(did)),
            remedy="If account.sqlite was restored from an older backup, restore a newer one.",
        )
