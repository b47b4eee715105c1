"""`pds firehose`: what the running server says of its subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.pds.cli.conftest import OperatedServer, Operator


@asynccontextmanager
async def subscribed(server: OperatedServer, agent: str) -> AsyncIterator[None]:
    url = f"{server.server.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with (
        aiohttp.ClientSession(headers={"User-Agent": agent}) as http,
        http.ws_connect(url, params={"cursor": "0"}),
    ):
        yield


async def test_subscribers_are_shown_by_the_running_server(running: OperatedServer) -> None:
    operator = Operator(running, {}, running.server.data)
    async with subscribed(running, "relay/1.0 (of a test)"):
        (one,) = await asyncio.to_thread(operator.run_lines, "firehose", "subscribers")
        text = await asyncio.to_thread(operator.run, "firehose", "subscribers")
    assert one["userAgent"] == "relay/1.0 (of a test)"
    assert one["cursor"] == 0
    title, _, rows = text.partition("\n")
    assert title.startswith("1 subscriber, newest event ")
    assert "relay/1.0 (of a test)" in rows
    assert one["connectedAt"][11:16] in rows


def test_without_a_server_nobody_is_asked(files: Operator) -> None:
    message = files.refuse("firehose", "subscribers")
    assert f"No server holds the data directory {files.data}" in message
    assert "Start it" in message
