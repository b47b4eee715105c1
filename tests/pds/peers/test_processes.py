"""A server of several processes is one server for its clients."""

from __future__ import annotations

from functools import partial

from sequencer.events import Event
from tests.pds.conftest import Pds
from tests.pds.peers.conftest import ManyProcesses


async def test_a_record_that_one_worker_takes_is_read_from_each(many: ManyProcesses) -> None:
    one, other = many.workers
    account = await one.create_account()
    written = [await worker.post_text(account) for worker in many.workers]
    for worker in (one, other):
        reply = await worker.get(
            "com.atproto.repo.listRecords", repo=account.did, collection="app.bsky.feed.post"
        )
        assert {record["uri"] for record in reply.json["records"]} == {w["uri"] for w in written}


async def test_commits_of_an_actor_are_made_by_one_worker(many: ManyProcesses) -> None:
    account = await many.workers[0].create_account()
    made: list[Pds] = []
    for worker in many.workers:
        worker.ctx.sequencer.on_event(partial(_note, made, worker))
    for worker in many.workers:
        await worker.post_text(account)
    assert made == [many.owner_of(account.did)] * 2


def _note(made: list[Pds], worker: Pds, _event: Event) -> None:
    made.append(worker)
