"""Writing to a repository: commit to the actor store, then emit the event on the firehose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from database.errors import DatabaseError, DatabaseUnsynced
from pds.peers.calls import by_owner
from repo.car import encode_car
from repo.commit import CommitData, Head
from sequencer.events import CommitEvent, SyncEvent

if TYPE_CHECKING:
    from actor_store.store import Plan
    from pds.context import AppContext
    from repo.cid import Cid
    from repo.datamodel import BlobRef
    from repo.syntax import Did

_log = structlog.get_logger(__name__)


@by_owner
async def commit(
    ctx: AppContext,
    did: Did,
    plan: Plan,
    *,
    blobs: Sequence[BlobRef] = (),
    swap_commit: Cid | None = None,
) -> Head | None:
    """Commit the writes of `plan` to the repository of `did`, and sequence the commit.

    `plan` computes the writes from what it reads inside the transaction; `blobs` are those that
    the records refer to; all of them can be pickled. Returns the new head; None, and makes no
    commit, if the writes change no record. Raises what `ActorStore.commit` raises, and a
    `DatabaseError` if the event log has stopped accepting events. Nothing has been written if it
    raises.
    """
    await wait_for_log(ctx)
    data = await ctx.actor_store.commit(did, plan, blobs=blobs, swap_commit=swap_commit)
    if data is None:
        return None
    head = Head(data.cid, data.rev)
    await sequence(ctx, commit_event(data), head)
    return head


async def wait_for_log(ctx: AppContext) -> None:
    """Make a write wait until the events of earlier writes are in the log.

    Raises the error with which the log refuses them. Also raises while a full disk prevents
    recovery from reconciling the log with the stores.
    """
    if ctx.sequencer.is_behind:
        await ctx.sequencer.append()
    if ctx.unfinished.finish is not None:
        await ctx.unfinished.finish()


async def sequence(ctx: AppContext, event: CommitEvent | SyncEvent, head: Head) -> None:
    """Append the event of a commit that has just become the `head` of its repository.

    Call it without awaiting anything after the store's COMMIT.
    """
    # Nothing is awaited between the store's commit and `append`, so the log has a DID's commits in
    # the order of their revs. After a crash at this point, `pds.recovery` reconciles the two.
    sequenced = ctx.sequencer.append(event)
    ctx.accounts.repo_roots.set(event.did, head.cid, head.rev)
    try:
        await sequenced
    except DatabaseUnsynced:
        raise
    except DatabaseError as exc:
        # The commit stands, and the event stays queued until the log accepts it. An error would
        # only make the caller repeat the write.
        _log.error("the event of a commit waits", did=event.did, rev=head.rev, reason=str(exc))


def commit_event(data: CommitData) -> CommitEvent:
    """Return the `#commit` event of a commit."""
    return CommitEvent(
        did=data.did,
        commit=data.cid,
        rev=data.rev,
        since=data.since,
        blocks=encode_car((data.cid,), data.event_blocks.items()),
        ops=data.ops,
        prev_data=data.prev_data,
    )


def sync_event(did: str, *, cid: Cid, rev: str, block: bytes) -> SyncEvent:
    """Return the `#sync` event that declares a repository's current commit."""
    return SyncEvent(did=did, rev=rev, blocks=encode_car((cid,), [(cid, block)]))
