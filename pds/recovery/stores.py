"""Comparing one actor store with the log after an unclean stop, and making both agree.

The store is written first and the log second, without a common transaction:

===================================  ==========================================================
found                                done
===================================  ==========================================================
store ahead of the log               a `#sync` event with the current commit, which is
                                     re-created if it was imported; none if deactivated
log ahead of the store               a new commit of the same records with a rev above the
                                     log's, and its `#sync`: consumers have seen commits that
                                     the store has lost
no commit in the log                 the events of a new account, if it is active
both may have lost the same commits  as if the log were ahead
store cannot be read                 the account is quarantined; all others are served
===================================  ==========================================================
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.errors import ActorStoreDamaged, ActorStoreError, RepoNotFound
from actor_store.reader import ActorStoreReader
from database.errors import DatabaseError, DatabaseFull, DatabaseOutOfFiles
from database.wal import check_length
from pds.lifecycle.states import EVENT_KINDS, state_events
from pds.repos.damage import quarantine
from repo.commit import Head, InvalidCommit, decode_commit
from repo.dagcbor import InvalidDagCbor
from repo.mst import MissingBlock

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.context import AppContext
    from sequencer.events import EventType

_SYNC: Final[frozenset[EventType]] = frozenset(("sync",))

_log = structlog.get_logger(__name__)


async def mend_store(ctx: AppContext, account: ActorAccount, *, may_lack_commits: bool) -> bool:
    """Make the store of an account and the log agree; return whether the store could be read.

    `may_lack_commits` says that a power failure may have lost commits of both the store and the
    log. Raises `DatabaseError` if the log cannot be written, `DatabaseFull` and
    `DatabaseOutOfFiles`.
    """
    try:
        head = await _compare(ctx, account, may_lack_commits)
    except (DatabaseFull, DatabaseOutOfFiles):
        raise
    except (ActorStoreError, DatabaseError) as exc:
        reason = exc.reason if isinstance(exc, ActorStoreDamaged) else str(exc)
        if isinstance(exc, RepoNotFound):
            reason = f"{ctx.actor_store.layout.store(account.did)} is missing, or has no repository"
        quarantine(ctx, account.did, reason, exc)
        return False
    list_head(ctx, account.did, head)
    return True


def list_head(ctx: AppContext, did: str, head: Head) -> None:
    """Make listRepos show `head`, the current head of the store."""
    if ctx.accounts.repo_roots.find(did) != (str(head.cid), head.rev):
        ctx.accounts.repo_roots.set(did, head.cid, head.rev)


def find_told_rev(ctx: AppContext, did: str) -> str | None:
    """Return the rev that the log's consumers have; None if it never had an event of the repo."""
    try:
        return ctx.sequencer.log.last_rev_of(did)
    except InvalidDagCbor:
        # Consumers cannot decode the event either, so they do not know its rev.
        return ""


async def _compare(ctx: AppContext, account: ActorAccount, may_lack_commits: bool) -> Head:
    did = account.did
    await asyncio.to_thread(ctx.durability.take_from_disk, ctx.actor_store.layout.store(did))
    check_length(ctx.actor_store.layout.store(did))
    ctx.actor_store.key(did)
    head = await ctx.actor_store.read(did, _sound_head)
    told_rev = find_told_rev(ctx, did)
    untold: frozenset[EventType] = frozenset()
    if told_rev is None:
        if account.active:
            untold = EVENT_KINDS
    else:
        if head.rev < told_rev or may_lack_commits:
            head = await _commit_above(ctx, did, head, told_rev)
        # The events of a deactivated account follow when it is activated.
        if head.rev != told_rev and account.deactivated_at is None:
            untold = _SYNC
    if untold:
        await ctx.sequencer.append(*await state_events(ctx, did, untold))
        # An imported commit is re-created for its event, which changes the head.
        head = await ctx.actor_store.read(did, lambda actor: actor.repo.head())
    return head


def _sound_head(actor: ActorStoreReader) -> Head:
    """Return the head after checking that its commit and the root of its tree are present."""
    head = actor.repo.head()
    try:
        commit = decode_commit(actor.repo.get_block(head.cid))
        actor.repo.get_block(commit.data)
    except (InvalidCommit, MissingBlock) as exc:
        raise ActorStoreDamaged(actor.did, str(exc)) from exc
    if commit.did != actor.did:
        raise ActorStoreDamaged(actor.did, f"it is the store of {commit.did}")
    return head


async def _commit_above(ctx: AppContext, did: str, head: Head, rev: str) -> Head:
    data = await ctx.actor_store.transact(did, lambda actor: actor.recommit(above_rev=rev or None))
    if head.rev < rev:
        _log.warning(
            "the store had lost commits that the network has seen",
            did=did,
            file=str(ctx.actor_store.layout.store(did)),
            had=head.rev,
            log_had=rev,
            now=data.rev,
        )
    return Head(data.cid, data.rev)
