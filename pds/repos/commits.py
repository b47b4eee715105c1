"""Writing to a repository: commit to the actor store, then tell the firehose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from database.errors import DatabaseError
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


async def commit(
    ctx: AppContext,
    did: Did,
    plan: Plan,
    *,
    blobs: Sequence[BlobRef] = (),
    swap_commit: Cid | None = None,
) -> CommitData | None:
    """Commit the writes of `plan` to the repository of `did`, and sequence the commit.

    `plan` makes them of what it reads inside the transaction; `blobs` are those that the records
    refer to. None, without a commit, where they leave every record as it was. Raises what
    `ActorStore.commit` raises, and the `DatabaseError` of an event log that has stopped taking
    events. In any case nothing has been written.
    """
    await wait_for_log(ctx)
    data = await ctx.actor_store.commit(did, plan, blobs=blobs, swap_commit=swap_commit)
    if data is not None:
        await sequence(ctx, commit_event(data), Head(data.cid, data.rev))
    return data


async def wait_for_log(ctx: AppContext) -> None:
    """Hold writes back while events of earlier ones wait. Raises why the log refuses them.

    So it does as long as a full disk keeps the log and the stores from being brought together.
    """
    if ctx.sequencer.is_behind:
        await ctx.sequencer.append()
    if ctx.unfinished.finish is not None:
        await ctx.unfinished.finish()


async def sequence(ctx: AppContext, event: CommitEvent | SyncEvent, head: Head) -> None:
    """Tell of a commit that has become the `head` of its repository, in the step of its COMMIT."""
    # Nothing is awaited between the store's commit and `append`: the log has a DID's commits in
    # the order of their revs. After a crash right here `pds.recovery` brings the two together.
    sequenced = ctx.sequencer.append(event)
    ctx.accounts.repo_roots.set(event.did, head.cid, head.rev)
    try:
        await sequenced
    except DatabaseError as exc:
        # The commit stands, and the event is kept until the log takes it: an error would only
        # make the caller write once more.
        _log.error("event of a commit is late", did=event.did, rev=head.rev, reason=str(exc))


def commit_event(data: CommitData) -> CommitEvent:
    """The `#commit` event of a commit."""
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
    """The `#sync` event that declares a repository's current commit."""
    return SyncEvent(did=did, rev=rev, blocks=encode_car((cid,), [(cid, block)]))
