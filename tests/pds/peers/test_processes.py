"""A server of several processes is one server for its clients."""

from __future__ import annotations

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
    events = [worker.ctx.sequencer.events_by_type for worker in many.workers]
    before = [each["append"] for each in events]
    for worker in many.workers:
        await worker.post_text(account)
    made = [each["append"] - was for each, was in zip(events, before, strict=True)]
    expected = [2 if worker is many.owner_of(account.did) else 0 for worker in many.workers]
    assert made == expected
