"""Events of the firehose as far as their order goes."""

from __future__ import annotations

import io
from dataclasses import dataclass

import aiohttp
import cbor2

from tests.processes import DevServer


@dataclass(frozen=True, slots=True)
class Event:
    """What makes an event this one and no other."""

    seq: int
    kind: str
    did: str
    rev: str | None


async def read_events(
    server: DevServer,
    http: aiohttp.ClientSession,
    events: list[Event],
    *,
    cursor: int,
    until_seq: int | None = None,
) -> None:
    """Add every event after `cursor` to `events`, until `until_seq` or the connection's end."""
    url = f"{server.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with http.ws_connect(url, params={"cursor": str(cursor)}, max_msg_size=0) as socket:
        async for message in socket:
            stream = io.BytesIO(message.data)
            header, body = cbor2.load(stream), cbor2.load(stream)
            did = body["repo"] if header["t"] == "#commit" else body["did"]
            events.append(Event(body["seq"], header["t"], did, body.get("rev")))
            if body["seq"] == until_seq:
                return
