"""com.atproto.sync.subscribeRepos: the firehose as a consumer sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from repo.commit import decode_commit
from tests.pds.api.exports import export, read_car, signing_key
from tests.pds.api.firehose import Consumer, Message, Mirror, operations, subscribed, verify_commit
from tests.pds.api.records import (
    NOTE,
    POST,
    apply,
    create,
    creates,
    deactivate,
    delete,
    deletes,
    moderate,
    post,
    put,
    repo_subject,
    updates,
)
from tests.pds.conftest import Account, Pds, start_pds

PATH = "/xrpc/com.atproto.sync.subscribeRepos"


def kinds(messages: list[Message]) -> list[str]:
    return [message.kind for message in messages]


def transport_of(consumer: Consumer) -> asyncio.Transport:
    """The client's end of the connection, beneath the WebSocket."""
    connection = consumer.socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    return connection.transport


async def settled(pds: Pds) -> None:
    """Wait until the server has let go of every consumer."""
    async with asyncio.timeout(20):
        while pds.ctx.subscribers:  # noqa: ASYNC110 (nothing else tells of it)
            await asyncio.sleep(0)


# --- kinds of events ---


async def test_new_account_is_announced_with_its_repo(pds: Pds) -> None:
    async with subscribed(pds) as consumer:
        account = await pds.create_account("alice")
        messages = await consumer.take(4)
    assert kinds(messages) == ["#identity", "#account", "#commit", "#sync"]
    identity, state, commit, sync = (message.body for message in messages)
    assert [message.seq for message in messages] == [1, 2, 3, 4]
    for body in (identity, state, commit, sync):
        assert datetime.fromisoformat(body.pop("time")).tzinfo is not None
    assert identity == {"seq": 1, "did": account.did, "handle": account.handle}
    assert state == {"seq": 2, "did": account.did, "active": True}
    key = await signing_key(pds, account.did)
    blocks = verify_commit(commit, key)
    assert (operations(commit), commit["since"]) == ([], None)
    assert "prevData" not in commit
    assert len(blocks) == 2
    assert sync.keys() == {"seq", "did", "rev", "blocks"}
    roots, blocks = read_car(sync["blocks"])
    assert (roots, list(blocks)) == ((commit["commit"],), [commit["commit"]])
    assert decode_commit(blocks[roots[0]]).verify(key)


async def test_body_of_a_commit_has_just_the_fields_of_the_lexicon(
    pds: Pds, alice: Account
) -> None:
    async with subscribed(pds) as consumer:
        await create(pds, alice, {"n": 1})
        body = (await consumer.next()).body
    assert body.keys() == {
        *("seq", "time", "repo", "commit", "rev", "since", "blocks", "ops", "prevData"),
        *("rebase", "tooBig", "blobs"),
    }


async def test_states_of_an_account_are_announced(pds: Pds, alice: Account) -> None:
    head = await pds.get("com.atproto.sync.getLatestCommit", did=alice.did)
    async with subscribed(pds) as consumer:
        await deactivate(pds, alice)
        await pds.post("com.atproto.server.activateAccount", None, alice.auth)
        await moderate(pds, repo_subject(alice), takedown=True)
        await moderate(pds, repo_subject(alice), takedown=False)
        messages = await consumer.take(6)
    bodies = [
        {k: v for k, v in message.body.items() if k not in ("seq", "time")} for message in messages
    ]
    did = alice.did
    assert kinds(messages) == ["#account", "#account", "#identity", "#sync"] + ["#account"] * 2
    assert bodies[0] == {"did": did, "active": False, "status": "deactivated"}
    assert bodies[1] == {"did": did, "active": True}
    assert bodies[2] == {"did": did, "handle": alice.handle}
    assert bodies[3]["rev"] == head.json["rev"]
    assert bodies[4] == {"did": did, "active": False, "status": "takendown"}
    assert bodies[5] == {"did": did, "active": True}


async def test_new_handle_is_announced(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as consumer:
        reply = await pds.post(
            "com.atproto.identity.updateHandle", {"handle": "alice2.test"}, alice.auth
        )
        assert reply.status == 200, reply.body
        message = await consumer.next()
    assert (message.kind, message.body["handle"]) == ("#identity", "alice2.test")


async def test_every_kind_of_commit_can_be_followed(pds: Pds, alice: Account) -> None:
    async with subscribed(pds, 0) as consumer:
        mirror = Mirror(await signing_key(pds, alice.did))
        for message in await consumer.until(pds.ctx.sequencer.current_seq):
            mirror.follow(message)
        await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(100)))
        await create(pds, alice, post(), POST)
        await put(pds, alice, "r5", {"n": -5})
        await put(pds, alice, "new", {"n": 5})
        await delete(pds, alice, "r6")
        await apply(pds, alice, updates("r7", {"n": -7}), deletes("r8"), creates({"n": 1}))
        await apply(pds, alice)
        await apply(pds, alice, *(deletes(f"r{n}") for n in range(10, 100)))
        for message in await consumer.take(7):
            mirror.follow(message)
    mirror.check(await export(pds, alice.did))


async def test_frames_of_the_log_are_those_that_went_out_live(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as live:
        await create(pds, alice, {"n": 1})
        await deactivate(pds, alice)
        await pds.post("com.atproto.server.activateAccount", None, alice.auth)
        first = pds.ctx.sequencer.current_seq - 4
        sent = [await live.socket.receive_bytes() for _ in range(5)]
    pds.ctx.sequencer.ring.clear()
    async with subscribed(pds, first - 1) as late:
        assert [await late.socket.receive_bytes() for _ in range(5)] == sent


# --- cursors ---


async def test_without_a_cursor_only_what_happens_from_now_on(pds: Pds, alice: Account) -> None:
    before = pds.ctx.sequencer.current_seq
    async with subscribed(pds) as consumer:
        await create(pds, alice, {"n": 1})
        assert (await consumer.next()).seq == before + 1


@pytest.mark.parametrize(("cursor", "first"), [("0", 1), ("-1", 1), ("-999999", 1), ("2", 3)])
async def test_cursor_is_the_last_event_seen(
    pds: Pds, alice: Account, cursor: str, first: int
) -> None:
    async with subscribed(pds, cursor) as consumer:
        seqs = [message.seq for message in await consumer.until(4)]
        assert seqs == list(range(first, 5))
        await create(pds, alice, {"n": 1})
        assert (await consumer.next()).seq == 5


async def test_cursor_at_the_newest_event_waits_for_the_next(pds: Pds, alice: Account) -> None:
    async with subscribed(pds, pds.ctx.sequencer.current_seq) as consumer:
        await create(pds, alice, {"n": 1})
        assert (await consumer.next()).seq == pds.ctx.sequencer.current_seq


async def test_cursor_in_the_future_is_refused(pds: Pds, alice: Account) -> None:
    for cursor in (pds.ctx.sequencer.current_seq + 1, 2**53 - 1):
        async with subscribed(pds, cursor) as consumer:
            messages, code, reason = await consumer.end()
        assert messages == [
            Message("error", {"error": "FutureCursor", "message": "Cursor in the future."})
        ]
        assert (code, reason) == (1008, "FutureCursor")


async def test_the_operator_is_told_once_of_a_cursor_in_the_future_and_what_to_do(
    pds: Pds, alice: Account
) -> None:
    seen = pds.ctx.sequencer.current_seq + 5_000
    with capture_logs() as log:
        for _ in range(2):
            async with subscribed(pds, seen, headers={"User-Agent": "relay/1"}) as consumer:
                await consumer.end()
    (line,) = [line for line in log if line["log_level"] == "warning"]
    assert (line["cursor"], line["newest_seq"]) == (seen, pds.ctx.sequencer.current_seq)
    assert (line["client"], line["user_agent"]) == ("127.0.0.1", "relay/1")
    assert f"`pds sequencer raise {seen}`" in line["remedy"]


async def test_a_consumer_that_comes_again_at_once_with_such_a_cursor_waits_longer_each_time(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    noted = pds.ctx.streams.future_cursors.note

    def note(*args: Any, **fields: Any) -> float:
        waited.append(noted(*args, **fields))
        return 0.0

    monkeypatch.setattr(pds.ctx.streams.future_cursors, "note", note)
    for _ in range(7):
        async with subscribed(pds, 2**40) as consumer:
            await consumer.end()
    assert waited == [0, 1, 2, 4, 8, 8, 8]


async def test_a_consumer_that_waits_to_be_refused_does_not_keep_the_server_from_stopping(
    tmp_path: Path,
) -> None:
    async with outlived(tmp_path, {}) as (pds, server):
        await pds.create_account()
        for _ in range(2):
            async with subscribed(pds, 2**40) as consumer:
                await consumer.end()
        async with subscribed(pds, 2**40) as consumer:
            stopping = asyncio.create_task(server.aclose())
            messages, code, _ = await consumer.end()
            await stopping
        assert (messages, code) == ([], 1001)


async def test_once_the_log_is_raised_a_consumer_with_such_a_cursor_gets_events(
    pds: Pds, alice: Account
) -> None:
    async with subscribed(pds) as live:
        async with subscribed(pds, 9_000) as refused:
            assert (await refused.end())[2] == "FutureCursor"
        path, headers = "/_holdfast/sequencer", pds.admin
        reply = await pds.request("PUT", path, json={"seq": 9_000}, headers=headers)
        assert reply.json == {"before": 4, "seq": 9_000}
        async with subscribed(pds, 9_000) as consumer:
            await create(pds, alice, {"n": 1})
            assert (await consumer.next()).seq == (await live.next()).seq == 9_001


@pytest.mark.parametrize("cursor", ["abc", "1.5", "1e3", "0x1", " 1", "٣", "9" * 5000])
async def test_cursor_that_is_no_integer_is_refused(pds: Pds, cursor: str) -> None:
    async with subscribed(pds, cursor) as consumer:
        messages, code, reason = await consumer.end()
    assert kinds(messages) == ["error"]
    assert messages[0].body["error"] in ("InvalidRequest", "FutureCursor")
    assert code == 1008
    if not cursor.startswith("9"):
        assert reason == "InvalidRequest"
        assert "Expected integer value type" in messages[0].body["message"]


async def test_cursor_older_than_the_backfill_is_told_so(pds: Pds, alice: Account) -> None:
    """The first account's events are two days old, and no longer backfilled."""
    await pds.create_account("bob")
    pds.ctx.sequencer._db.run(
        "UPDATE repo_seq SET sequencedAt = '2020-01-01T00:00:00.000Z' WHERE seq <= 4"
    )
    pds.ctx.sequencer.ring.clear()
    async with subscribed(pds, 0) as consumer:
        info, *messages = await consumer.take(5)
    assert info.kind == "#info"
    assert info.body == {
        "name": "OutdatedCursor",
        "message": "Requested cursor exceeded limit. Possibly missing events",
    }
    assert [message.seq for message in messages] == [5, 6, 7, 8]
    # A cursor inside the window misses nothing.
    async with subscribed(pds, 4) as consumer:
        assert (await consumer.next()).seq == 5


async def test_backfill_passes_into_live_without_a_gap(pds: Pds, alice: Account) -> None:
    await asyncio.gather(*(create(pds, alice, {"n": n}) for n in range(60)))
    last = pds.ctx.sequencer.current_seq + 60

    async def follow(cursor: int) -> list[int]:
        async with subscribed(pds, cursor) as consumer:
            return [message.seq for message in await consumer.until(last)]

    readers = [asyncio.create_task(follow(cursor)) for cursor in range(0, 60, 6)]
    await asyncio.gather(*(create(pds, alice, {"n": n}) for n in range(60)))
    for cursor, reader in zip(range(0, 60, 6), readers, strict=True):
        assert await reader == list(range(cursor + 1, last + 1))


# --- consumers that misbehave ---


async def test_the_end_of_a_backfill_arrives_also_if_the_newest_seqs_have_no_events(
    pds: Pds, alice: Account
) -> None:
    # As after a crash, from which the log goes on above every seq that it may have given out.
    await pds.ctx.event_log.raise_to(1_000)
    async with subscribed(pds, cursor=0) as consumer:
        messages = await consumer.take(4)
    assert kinds(messages)[-1] == "#sync"


async def test_what_a_consumer_says_is_not_heard(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as consumer:
        await consumer.socket.send_str("hello")
        await consumer.socket.send_bytes(b"\xff" * 1000)
        await consumer.socket.send_bytes(b"")
        await consumer.socket.ping(b"are you there")
        await create(pds, alice, {"n": 1})
        assert (await consumer.next()).kind == "#commit"


async def test_consumer_that_says_much_is_closed(pds: Pds, alice: Account) -> None:
    async with subscribed(pds) as consumer, subscribed(pds) as other:
        await consumer.socket.send_bytes(bytes(100_000))
        messages, code, _ = await consumer.end()
        assert (messages, code) == ([], 1009)
        await create(pds, alice, {"n": 1})
        assert (await other.next()).kind == "#commit"
    await settled(pds)


async def test_bytes_that_are_no_websocket_end_that_connection_alone(
    pds: Pds, alice: Account
) -> None:
    async with subscribed(pds) as consumer, subscribed(pds) as other:
        transport_of(consumer).write(b"\x00\xff garbage \xff" * 100)
        _, code, _ = await consumer.end()
        assert code in (1002, 1006, 1007, 1009)
        await create(pds, alice, {"n": 1})
        assert (await other.next()).kind == "#commit"
    await settled(pds)


async def test_consumer_that_leaves_is_forgotten(pds: Pds, alice: Account) -> None:
    async with subscribed(pds), subscribed(pds, 0):
        assert len(pds.ctx.subscribers) == 2
    await settled(pds)
    async with subscribed(pds) as consumer:
        transport_of(consumer).abort()
        await create(pds, alice, {"n": 1})
        await settled(pds)


async def stall(pds: Pds, account: Account, count: int = 24) -> None:
    """Write more than the buffers of a connection hold."""
    for n in range(count):
        assert (await put(pds, account, "big", {"n": n, "x": "y" * 900_000})).status == 200


def waiting_bytes(pds: Pds) -> int:
    """What the server holds for its consumers, beyond the operating system's buffers."""
    transports = [one.request.transport for one in pds.ctx.subscribers]
    return sum(transport.get_write_buffer_size() for transport in transports if transport)


@pytest.mark.parametrize("pds_environ", [{"PDS_MAX_SUBSCRIPTION_BUFFER": "6"}])
async def test_consumer_that_stops_reading_is_told_so_and_closed(
    pds: Pds, pds_environ: dict[str, str], alice: Account
) -> None:
    start = pds.ctx.sequencer.current_seq
    async with subscribed(pds) as slow, subscribed(pds) as quick:
        reader = asyncio.create_task(quick.until(start + 24))
        await stall(pds, alice)
        # Nobody else noticed, and the server kept one frame or two for the slow one.
        assert [message.seq for message in await reader] == list(range(start + 1, start + 25))
        assert waiting_bytes(pds) < 2_000_000
        messages, code, reason = await slow.end()
    assert messages[-1] == Message(
        "error", {"error": "ConsumerTooSlow", "message": "Stream consumer too slow"}
    )
    seqs = [message.seq for message in messages[:-1]]
    assert seqs == list(range(start + 1, start + 1 + len(seqs)))
    assert len(seqs) < 24
    assert (code, reason) == (1008, "ConsumerTooSlow")


@pytest.mark.parametrize("pds_environ", [{"PDS_MAX_SUBSCRIPTION_BUFFER": "6"}])
async def test_consumer_that_never_reads_again_is_cut_off(
    pds: Pds, pds_environ: dict[str, str], alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.fairness.answer_pace.PACE_S", 0.05)
    async with subscribed(pds):
        await stall(pds, alice)
        await settled(pds)


# --- the server's own trouble ---


async def test_consumer_is_closed_when_the_log_cannot_be_read(pds: Pds, alice: Account) -> None:
    pds.ctx.sequencer._db.run("UPDATE repo_seq SET event = x'ff' WHERE seq = 3")
    pds.ctx.sequencer.ring.clear()
    async with subscribed(pds, 0) as consumer:
        messages, code, _ = await consumer.end()
    assert [message.seq for message in messages] == [1, 2]
    assert code == 1011
    # Those who need not read it are served.
    async with subscribed(pds) as consumer:
        await create(pds, alice, {"n": 1})
        assert (await consumer.next()).kind == "#commit"


async def test_consumer_is_closed_when_sending_fails_unexpectedly(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_consumer: object) -> None:
        raise AssertionError("never expected")

    monkeypatch.setattr(pds.ctx.streams.backfills, "next", fail)
    with capture_logs() as log:
        async with subscribed(pds, 0) as consumer:
            _, code, _ = await consumer.end()
        await settled(pds)
    assert code == 1011
    assert [line["event"] for line in log if line["log_level"] == "error"] == [
        "a subscription failed"
    ]


@asynccontextmanager
async def outlived(
    tmp_path: Path, environ: dict[str, str]
) -> AsyncIterator[tuple[Pds, AsyncExitStack]]:
    """A server that stops with the stack, and a client that does not."""
    async with AsyncExitStack() as server, aiohttp.ClientSession() as http:
        pds = await start_pds(server, tmp_path, environ)
        pds.http = http
        yield pds, server


async def test_server_that_stops_says_so(tmp_path: Path) -> None:
    async with outlived(tmp_path, {}) as (pds, server):
        account = await pds.create_account()
        async with subscribed(pds, 0) as one, subscribed(pds) as two:
            await create(pds, account, {"n": 1})
            assert (await two.next()).kind == "#commit"
            stopping = asyncio.create_task(server.aclose())
            messages, code, _ = await one.end()
            assert (len(messages), code) == (5, 1001)
            assert (await two.end())[1] == 1001
            async with asyncio.timeout(20):
                await stopping


async def test_server_stops_in_spite_of_a_consumer_that_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.api.sync.subscribe_repos._CLOSE_S", 0.1)
    async with outlived(tmp_path, {}) as (pds, server):
        account = await pds.create_account()
        async with subscribed(pds):
            await stall(pds, account)
            async with asyncio.timeout(20):
                await server.aclose()


async def test_consumer_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with outlived(tmp_path, {}) as (pds, server):
        account = await pds.create_account()
        async with subscribed(pds, 0) as consumer:
            before = await consumer.take(4)
            await server.aclose()
    async with outlived(tmp_path, {}) as (pds, _):
        headers = account.auth
        body = {"repo": account.did, "collection": NOTE, "record": {"n": 1}}
        reply = await pds.post("com.atproto.repo.createRecord", body, headers)
        assert reply.status == 200, reply.body
        async with subscribed(pds, before[-1].seq) as consumer:
            message = await consumer.next()
        assert message.seq > before[-1].seq
        verify_commit(message.body, await signing_key(pds, account.did))
        assert message.body["since"] == before[-1].body["rev"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket"},
        {"Connection": "upgrade"},
        {"Upgrade": "h2c", "Connection": "upgrade"},
        {"Upgrade": "websocket", "Connection": "keep-alive"},
    ],
)
async def test_a_plain_request_is_told_that_a_proxy_may_have_taken_its_upgrade(
    pds: Pds, headers: dict[str, str]
) -> None:
    reply = await pds.request("GET", PATH, headers=headers)
    assert reply.error == (426, "UpgradeRequired")
    assert "a proxy before this server has to pass them on" in reply.json["message"]
    assert reply.headers["Upgrade"] == "websocket"
    assert reply.headers["Connection"] == "Upgrade"


@pytest.mark.parametrize("verb", ["POST", "PUT"])
async def test_no_other_verb_subscribes(pds: Pds, verb: str) -> None:
    assert (await pds.request(verb, PATH)).error == (400, "InvalidRequest")
