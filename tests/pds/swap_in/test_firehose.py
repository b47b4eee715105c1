"""The event log of the reference: its history, and what is written after it."""

from __future__ import annotations

from typing import Any

import pytest

from repo import dagcbor
from sequencer.events import timestamp
from tests.pds.api.exports import export
from tests.pds.api.firehose import Message, Mirror, subscribed
from tests.pds.conftest import Pds
from tests.pds.swap_in.conftest import Owners, ReferenceData, key_before
from tests.reference import data

NOTE = "com.example.note"


async def test_history_has_the_same_numbers_times_and_bytes(
    pds: Pds, stored: ReferenceData
) -> None:
    async with subscribed(pds, 0) as consumer:
        for event in stored.events:
            message = await consumer.next()
            body = dict(message.body)
            assert (body.pop("seq"), body.pop("time")) == (event.seq, event.time)
            assert message.kind == event.kind
            assert dagcbor.encode(body) == event.body


async def test_a_consumer_goes_on_where_it_was(pds: Pds, stored: ReferenceData) -> None:
    middle = stored.events[len(stored.events) // 2]
    async with subscribed(pds, middle.seq) as consumer:
        assert (await consumer.next()).seq == middle.seq + 1


async def test_a_cursor_beyond_the_log_is_in_the_future(pds: Pds, stored: ReferenceData) -> None:
    async with subscribed(pds, stored.events[-1].seq + 1) as consumer:
        messages, code, reason = await consumer.end()
    assert messages[0].body["error"] == "FutureCursor"
    assert (code, reason) == (1008, "FutureCursor")


@pytest.mark.parametrize("pds_environ", [{"PDS_REPO_BACKFILL_LIMIT_MS": "1000"}])
async def test_history_older_than_the_limit_is_left_out_and_said_so(
    pds: Pds, owners: Owners, stored: ReferenceData
) -> None:
    await pds.create_record(owners["alice"], NOTE, {"text": "new"}, validate=False)
    async with subscribed(pds, 0) as consumer:
        first, second = await consumer.take(2)
    assert first.body["name"] == "OutdatedCursor"
    assert second.seq == stored.events[-1].seq + 1


@pytest.mark.parametrize("name", data.ACTIVE)
async def test_writes_go_on_from_the_head_with_the_same_key(
    pds: Pds, owners: Owners, manifest: Any, stored: ReferenceData, name: str
) -> None:
    owner, head = owners[name], manifest["accounts"][name]["latestCommit"]
    last_seq = stored.events[-1].seq
    made = await pds.create_record(owner, NOTE, {"text": "new"}, rkey="swap", validate=False)
    update = {"repo": owner.did, "collection": NOTE, "rkey": "swap", "validate": False}
    for method, more in (("putRecord", {"record": {"text": "changed"}}), ("deleteRecord", {})):
        body = {**update, **more}
        if method == "deleteRecord":
            del body["validate"]
        assert (await pds.post(f"com.atproto.repo.{method}", body, owner.auth)).status == 200
    assert made["commit"]["rev"] > head["rev"]
    mirror = Mirror(key_before(owner.did))
    async with subscribed(pds, 0) as consumer:
        messages = await consumer.until(last_seq + 3)
    for message in of_account(messages, owner.did):
        mirror.follow(message)
    new = messages[-3:]
    assert [message.seq for message in new] == [last_seq + 1, last_seq + 2, last_seq + 3]
    assert new[0].body["since"] == head["rev"]
    assert all(message.body["time"] <= timestamp(pds.ctx.sequencer.now_ms()) for message in new)
    mirror.check(await export(pds, owner.did))


async def test_a_deactivated_account_comes_back_with_its_repository(
    pds: Pds, owners: Owners, stored: ReferenceData
) -> None:
    frank = owners[data.DEACTIVATED]
    reply = await pds.post("com.atproto.server.activateAccount", headers=frank.auth)
    assert reply.status == 200, reply.body
    await pds.post_text(frank)
    mirror = Mirror(key_before(frank.did))
    last_seq = stored.events[-1].seq
    async with subscribed(pds, 0) as consumer:
        messages = await consumer.until(last_seq + 4)
    for message in of_account(messages, frank.did):
        mirror.follow(message)
    assert [message.kind for message in messages[-4:]] == [
        "#account",
        "#identity",
        "#sync",
        "#commit",
    ]
    mirror.check(await export(pds, frank.did))


async def test_a_new_account_follows_in_the_log(pds: Pds, stored: ReferenceData) -> None:
    account = await pds.create_account("grace")
    async with subscribed(pds, stored.events[-1].seq) as consumer:
        messages = await consumer.take(4)
    assert [message.seq - stored.events[-1].seq for message in messages] == [1, 2, 3, 4]
    assert of_account(messages, account.did) == messages


def of_account(messages: list[Message], did: str) -> list[Message]:
    return [m for m in messages if did in (m.body.get("repo"), m.body.get("did"))]
