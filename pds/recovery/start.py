"""Recovery at start: makes the log, the stores and the accounts agree before the first request.

The steps, each of which relies on those before it:

1. complete or undo the interrupted changes of several stores (`pds.lifecycle.changes`);
2. append the account and identity events that the log lacks (`missing_events`);
3. compare every store written to since shortly before the last event with the log, and every store
   that was damaged before, and repair the differences (`stores`);
4. compare every store whose head may not have been written to the service database (`heads`).

Moves of accounts that were being copied go on at once, since nobody copies them any more.

After a clean stop, only the entries of the journal are processed, unless one of the service
databases has been restored to an older state or the operator requests a check of all stores.
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
"""How long before the last event a lost write may have happened: several times as long as systems
keep written pages only in memory (Linux: 30 seconds)."""

_log = structlog.get_logger(__name__)


async def recover(ctx: AppContext) -> None:
    """Repair what the last stop left inconsistent; await this before the first request.

    On a full disk, some of the work is postponed and repositories are read-only until then: see
    `Unfinished.finish`. Raises any other `DatabaseError` if the service database or the log cannot
    be read or written. An actor whose files are damaged is quarantined.
    """
    try:
        # Not in what is tried again later, when somebody may have begun to copy.
        await ctx.accounts.moves.release_all()
        await _recover(ctx)
    except DatabaseFull as exc:
        _log.error(
            "recovery waits until the disk has space; until then repositories are read-only",
            file=str(exc.path),
            reason=exc.reason,
            remedy="Free space. The server then continues by itself.",
        )
        finish = ctx.unfinished.finish = partial(_finish, ctx, asyncio.Lock())
        ctx.unfinished.retrier.later("recovery", finish)


async def _finish(ctx: AppContext, lock: asyncio.Lock) -> None:
    async with lock:
        if ctx.unfinished.finished:
            return
        # Both fail quickly on a full disk, before all stores are checked. Events queued by the last
        # attempt must be in the log before missing ones are searched for again.
        ctx.event_log.mark_running()
        await ctx.sequencer.append()
        await _recover(ctx)
        ctx.unfinished.finish = None
        _log.info("recovery completed: repositories accept writes again")


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
        # An older version, which did not record completeness, may have left stale heads.
        await mend_heads(ctx, list(ctx.accounts.store.iter_all()))
    ctx.accounts.repo_roots.mark_complete()
    ctx.event_log.run.mark_recovered()
    ctx.unfinished.finished = True
    check_file.unlink(missing_ok=True)


def _join_run(ctx: AppContext) -> bool:
    known_ms = int((ctx.accounts.repo_roots.complete_at_s or 0.0) * 1000)
    marker = ctx.settings.data_directory / RUN_FILE
    return join_run(ctx.accounts.db, ctx.event_log, marker, known_ms=known_ms)


def _find_since_s(ctx: AppContext, check_file: Path) -> float | None:
    """Return since when changed stores must be checked, in Unix seconds; None for no check.

    Stored for the next attempt first, because the events of this one make the log younger.
    """
    asked_s = read_since_s(check_file)
    unknown = not ctx.unfinished.same_run or ctx.event_log.run.was_unclean or _log_is_gone(ctx)
    if asked_s is None and not unknown:
        return None
    newest = ctx.sequencer.log.newest_time()
    log_s = epoch_s_of(newest) - WINDOW_S if newest else 0.0
    if log_s > ctx.sequencer.now_ms() / 1000:
        log_s = 0.0  # The clock was ahead then, so the time cannot be compared with files.
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
            await mend_store(ctx, account, may_lack_commits=ctx.event_log.run.power_may_have_failed)
            mended += 1
    heads_since_s = (ctx.accounts.repo_roots.complete_at_s or 0.0) - WINDOW_S
    listed = files.changed_since(heads_since_s) - suspects
    mended += await mend_heads(ctx, (account for account in accounts if account.did in listed))
    _log.info(
        "stores were compared and repaired",
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
    # The store may come from a backup and lack commits; the comparison with the log shows that.
    return account is None or await mend_store(ctx, account, may_lack_commits=False)


def _log_is_gone(ctx: AppContext) -> bool:
    """Whether the log is empty although there are accounts, so the file was moved away."""
    return ctx.sequencer.current_seq == 0 and next(ctx.accounts.store.iter_all(), None) is not None


def _report_orphans(ctx: AppContext, accounts: list[ActorAccount], files: StoreFiles) -> None:
    """Log stores without an account. They are kept, because only a lost row can cause this."""
    unfinished = {entry.did for entry in ctx.unfinished.journal.entries()}
    for did in files.present - unfinished - {account.did for account in accounts}:
        _log.warning(
            "a store has no account; it is kept",
            did=did,
            file=str(ctx.actor_store.layout.store(did)),
            remedy="If account.sqlite was restored from an older backup, restore a newer one.",
        )
