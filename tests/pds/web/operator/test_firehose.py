"""Who is subscribed to the firehose, as the operator is told: in a list and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from database.timestamps import epoch_s_of, now_iso
from pds.monitoring.requests.header_text import shown
from pds.monitoring.requests.subscribers import LINES_EACH, MAX_USER_AGENT_LENGTH
from tests.pds.api.firehose import Consumer, subscribed
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds

CONNECTED = "firehose subscriber connected"
GONE = "firehose subscriber gone"


async def listed(pds: Pds) -> list[dict[str, Any]]:
    reply = await pds.request("GET", "/_holdfast/firehose/subscribers", headers=pds.admin)
    assert reply.json["newestSeq"] == pds.ctx.sequencer.current_seq
    subscribers: list[dict[str, Any]] = reply.json["subscribers"]
    return subscribers


async def until_left(pds: Pds) -> None:
    async with asyncio.timeout(10):
        while len(pds.ctx.subscribers):  # noqa: ASYNC110 (nothing else tells of it)
            await asyncio.sleep(0)


@asynccontextmanager
async def following(pds: Pds, agent: str, cursor: object = None) -> AsyncIterator[Consumer]:
    """A subscription under a name, which is over on the server's side, too, in the end."""
    async with subscribed(pds, cursor, headers={"User-Agent": agent}) as consumer:
        yield consumer
    await until_left(pds)


async def test_subscribers_are_listed_with_who_they_are_and_how_far(
    pds: Pds, alice: Account
) -> None:
    assert await listed(pds) == []
    before, start = now_iso(), pds.ctx.sequencer.current_seq
    async with following(pds, "relay/1.0", 0) as consumer:
        await create(pds, alice, {"n": 1})
        await consumer.until(start + 1)
        (one,) = await listed(pds)
    assert before <= one.pop("connectedAt") <= now_iso()
    assert one == {
        "address": "127.0.0.1",
        "userAgent": "relay/1.0",
        "cursor": 0,
        "seq": start + 1,
        "lagEvents": 0,
        "state": "live",
    }
    assert await listed(pds) == []


async def test_a_subscriber_behind_is_listed_with_its_lag(pds: Pds, alice: Account) -> None:
    # As many as no buffer between the two holds.
    for n in range(12):
        await create(pds, alice, {"x": "y" * 900_000, "n": n})
    async with following(pds, "slow", 0):
        async with asyncio.timeout(10):
            while not (found := await listed(pds))[0]["seq"]:
                pass
    (one,) = found
    assert one["lagEvents"] == pds.ctx.sequencer.current_seq - one["seq"] > 0


async def test_the_client_behind_our_proxy_is_the_one_that_is_listed(pds: Pds) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with subscribed(pds, headers=headers) as _:
        assert [one["address"] for one in await listed(pds)] == ["203.0.113.9"]


async def test_connection_and_end_are_lines_in_the_log(pds: Pds, alice: Account) -> None:
    newest = pds.ctx.sequencer.current_seq
    with capture_logs() as log:
        async with following(pds, "relay/1.0", 1) as consumer:
            await consumer.until(newest)
    connected, gone = (line for line in log if line["event"] in (CONNECTED, GONE))
    for line in (connected, gone):
        assert line["client"] == "127.0.0.1"
        assert line["user_agent"] == "relay/1.0"
        assert line["log_level"] == "info"
    assert (connected["event"], connected["cursor"]) == (CONNECTED, 1)
    assert connected["lag_events"] == newest - 1
    assert (gone["event"], gone["reason"]) == (GONE, "the connection ended")
    assert (gone["seq"], gone["connected_s"]) == (newest, 0)


async def test_the_line_of_a_refused_subscriber_says_why(pds: Pds) -> None:
    with capture_logs() as log:
        async with following(pds, "lost", 1_000_000) as consumer:
            await consumer.end()
    lines = [line for line in log if line["event"] in (CONNECTED, GONE)]
    assert [(line["event"], line["reason"]) for line in lines] == [(GONE, "FutureCursor")]


async def test_who_connects_again_and_again_does_not_fill_the_log(pds: Pds) -> None:
    with capture_logs() as log:
        for _ in range(LINES_EACH + 20):
            async with following(pds, "again"):
                await listed(pds)
        # Nor does it keep others out.
        headers = {"X-Forwarded-For": "203.0.113.9"}
        async with subscribed(pds, headers=headers):
            await listed(pds)
        await until_left(pds)
    lines = [line for line in log if line["event"] in (CONNECTED, GONE)]
    assert [line["client"] for line in lines] == ["127.0.0.1"] * LINES_EACH + ["203.0.113.9"] * 2
    assert lines[-2]["unlogged"] == 2 * (LINES_EACH + 20) - LINES_EACH


@pytest.mark.parametrize(
    ("agent", "as_shown"),
    [
        ("Mozilla/5.0 (X11)", "Mozilla/5.0 (X11)"),
        ("\x1b[2J\x9b2Jclean", "\\x1b[2J\\x9b2Jclean"),
        ("a\u202egnirts\u2028", "a\\u202egnirts\\u2028"),
        ("Sørensen", "Sørensen"),
        ("x" * 500, "x" * (MAX_USER_AGENT_LENGTH - 1) + "…"),
        ("x" * MAX_USER_AGENT_LENGTH, "x" * MAX_USER_AGENT_LENGTH),
        ("\x9b" * 500, None),
    ],
)
def test_what_a_stranger_calls_itself_moves_no_cursor(agent: str, as_shown: str | None) -> None:
    text = shown(agent, MAX_USER_AGENT_LENGTH)
    assert text.isprintable()
    assert len(text) <= MAX_USER_AGENT_LENGTH
    if as_shown is not None:
        assert text == as_shown


async def test_the_name_of_a_subscriber_is_listed_and_logged_escaped(pds: Pds) -> None:
    with capture_logs() as log:
        async with following(pds, "relay\x9b31m\u202e"):
            (one,) = await listed(pds)
    assert one["userAgent"] == "relay\\x9b31m\\u202e"
    names = {line["user_agent"] for line in log if line["event"] in (CONNECTED, GONE)}
    assert names == {"relay\\x9b31m\\u202e"}
    assert epoch_s_of(one["connectedAt"]) > 0
