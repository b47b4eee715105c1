"""A worker that starts knows what the first process has found."""

from __future__ import annotations

from pathlib import Path

import pytest

from actor_store.errors import ActorStoreDamaged
from database.errors import DatabaseFull
from pds.recovery.joining import join
from pds.repos.damage import quarantine
from repo.syntax import Did
from tests.pds.peers.conftest import ManyProcesses


async def test_a_worker_leaves_alone_what_was_quarantined_before_and_after_it_started(
    many: ManyProcesses,
) -> None:
    first = many.first
    worker = many.workers[1].ctx
    first.actor_store.quarantine("did:plc:before", "is empty")
    await join(worker)
    quarantine(first, Did("did:plc:after"), "is cut off")
    await join(many.workers[0].ctx)  # What was told arrives in order.
    for did, reason in (("did:plc:before", "is empty"), ("did:plc:after", "is cut off")):
        with pytest.raises(ActorStoreDamaged, match=reason):
            await worker.actor_store.read(did, lambda actor: actor.record.count())


async def test_no_worker_writes_until_the_first_process_has_recovered(many: ManyProcesses) -> None:
    account = await many.workers[0].create_account()
    disk_is_full = True

    async def finish() -> None:
        if disk_is_full:
            raise DatabaseFull(Path("sequencer.sqlite"), "the disk is full")
        many.first.unfinished.finish = None

    many.first.unfinished.finish = finish
    for worker in many.workers:
        await join(worker.ctx)
    for worker in many.workers:
        record = {"$type": "app.bsky.feed.post", "text": "", "createdAt": "2026-01-01T00:00:00Z"}
        body = {"repo": account.did, "collection": "app.bsky.feed.post", "record": record}
        reply = await worker.post("com.atproto.repo.createRecord", body, account.auth)
        assert (reply.status, reply.json["message"]) == (503, "The server is out of disk space.")
    disk_is_full = False
    for worker in many.workers:
        await worker.post_text(account)


async def test_no_two_processes_make_the_same_tid(many: ManyProcesses) -> None:
    contexts = [many.first, *(worker.ctx for worker in many.workers)]
    clocks = {ctx.tid_clock.next()[-2:] for ctx in contexts}
    assert len(clocks) == len(contexts)
