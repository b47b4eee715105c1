"""Many subscribers of the firehose, and what they cost writers.

`python -m benchmarks --only firehose`. Subscribers are raw connections of a process of its own,
which counts frames by their heads and reads the time of every hundredth. A load of writes is paced,
or as fast as it goes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Final
from urllib.parse import urlsplit

import orjson

from benchmarks.many_accounts import did_of, make_accounts
from benchmarks.servers import SECRET, WORK, Server, on_directory, running
from pds.accounts.scopes import SessionScope
from pds.accounts.session_tokens import SessionTokens

MARKER: Final = "<!-- firehose: written by `make bench` -->"
"""Where its table is in docs/scaling.md."""
_ACCOUNTS: Final = 64
_SERVICE_DID: Final = "did:web:pds.test"
_TIME: Final = b"dtimex\x18"
"""The key `time` and the head of its value, 24 characters, in DAG-CBOR."""
_TIME_LENGTH: Final = 24
_SAMPLE: Final = 100
_SETTLE_S: Final = 3.0
_EACH: Final = 50
"""Subscribers from one address; the server takes twice as many."""


@dataclass(slots=True, frozen=True)
class FirehoseFigures:
    """What was measured with so many subscribers."""

    subscribers: int
    writes_s: float
    frames: int
    """Received by all of them together."""
    missing: int
    p50_ms: float
    p99_ms: float
    """From the commit of the event to its frame at the subscriber."""


def measure_firehose(seconds: float, *, workers: int = 1) -> list[FirehoseFigures]:
    """500 subscribers at 200 events a second, then writes at full speed with 0 and 100."""
    work = WORK / "firehose"
    shutil.rmtree(work, ignore_errors=True)
    make_accounts(work / "data", _ACCOUNTS, posts=1)
    launch = on_directory(work / "data")
    launch = replace(launch, environment={**launch.environment, "PDS_WORKERS": str(workers)})
    found = []
    for subscribers, pace_s in ((500, 200.0), (0, None), (100, None)):
        with running(launch) as server:
            found.append(_measure(server, subscribers, pace_s, seconds))
    shutil.rmtree(work, ignore_errors=True)
    return found


def rows(figures: list[FirehoseFigures]) -> Iterator[tuple[str, ...]]:
    """Yield a table of the figures."""
    yield ("subscribers", "creates/s", "frames received", "missing", "p50 ms", "p99 ms", "target")
    free = next((one.writes_s for one in figures if not one.subscribers), None)
    for one in figures:
        shown = (f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}") if one.frames else ("–", "–")
        target = "–"
        if one.subscribers == 500:
            target = "p99 < 60 ms, none missing"
        elif one.subscribers and free:
            target = f"costs writers < 33 %: {100 * (1 - one.writes_s / free):.0f} %"
        yield (
            str(one.subscribers),
            f"{one.writes_s:,.0f}",
            f"{one.frames:,}",
            str(one.missing),
            *shown,
            target,
        )


def _measure(
    server: Server, subscribers: int, pace_s: float | None, seconds: float
) -> FirehoseFigures:
    ours, theirs = multiprocessing.Pipe()
    reader = multiprocessing.Process(target=_subscribe, args=(server.url, subscribers, theirs))
    reader.start()
    ours.recv()  # All are connected.
    started = time.monotonic()
    writes = asyncio.run(_write(server.url, pace_s, seconds))
    took_s = time.monotonic() - started
    time.sleep(_SETTLE_S)
    ours.send(None)
    frames, lags_ms = ours.recv()
    reader.join()
    lags_ms.sort()
    return FirehoseFigures(
        subscribers,
        writes / took_s,
        frames,
        writes * subscribers - frames,
        lags_ms[len(lags_ms) // 2] if lags_ms else 0.0,
        lags_ms[int(len(lags_ms) * 0.99)] if lags_ms else 0.0,
    )


async def _write(url: str, pace_s: float | None, seconds: float) -> int:
    """Create records on 16 connections, `pace_s` a second; return how many."""
    tokens = SessionTokens(jwt_secret=SECRET, service_did=_SERVICE_DID)
    dids = [did_of(number) for number in range(_ACCOUNTS)]
    headers = [tokens.create_access(did, SessionScope.ACCESS) for did in dids]
    begun = time.monotonic()
    written = 0

    async def one(first: int) -> None:
        nonlocal written
        reader, writer = await _connect(url)
        while (now_s := time.monotonic() - begun) < seconds:
            if pace_s is not None and written > now_s * pace_s:
                await asyncio.sleep(0.002)
                continue
            number, written = written, written + 1
            account = (first + number) % _ACCOUNTS
            text = f"A post about as long as posts are: two short sentences. Number {number}."
            record = {"text": text, "createdAt": "2026-01-01T00:00:00.000Z"}
            body = orjson.dumps(
                {"repo": dids[account], "collection": "app.bsky.feed.post", "record": record}
            )
            head = (
                "POST /xrpc/com.atproto.repo.createRecord HTTP/1.1\r\nHost: pds.test\r\n"
                f"Authorization: Bearer {headers[account]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer[:200])
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    await asyncio.gather(*map(one, range(16)))
    return written


async def _connect(url: str, number: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect from one of several addresses, each of which may have some subscribers."""
    parts = urlsplit(url)
    source = f"127.0.0.{2 + number // _EACH}"
    return await asyncio.open_connection(
        parts.hostname, parts.port, limit=1 << 22, local_addr=(source, 0)
    )


def _subscribe(url: str, subscribers: int, pipe: Connection) -> None:
    asyncio.run(_count(url, subscribers, pipe))


async def _count(url: str, subscribers: int, pipe: Connection) -> None:
    counters = [_Counter() for _ in range(subscribers)]
    tasks, connections = [], []
    for number, counter in enumerate(counters):
        reader, writer = await _connect(url, number)
        key = b64encode(os.urandom(16)).decode()
        writer.write(
            "GET /xrpc/com.atproto.sync.subscribeRepos HTTP/1.1\r\nHost: pds.test\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await reader.readuntil(b"\r\n\r\n")
        connections.append(writer)  # It would close when it is forgotten.
        tasks.append(asyncio.create_task(counter.read(reader)))
    await asyncio.sleep(0.5)
    pipe.send(None)
    await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for writer in connections:
        writer.close()
    lags = [lag for counter in counters for lag in counter.lags_ms]
    pipe.send((sum(counter.frames for counter in counters), lags))


class _Counter:
    """Counts the frames of one subscriber, and notes how late some are."""

    def __init__(self) -> None:
        self.frames = 0
        self.lags_ms: list[float] = []

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read until the connection ends."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(2)
                length = head[1]
                if length >= 126:
                    more = await reader.readexactly(2 if length == 126 else 8)
                    length = int.from_bytes(more, "big")
                frame = await reader.readexactly(length)
                self.frames += 1
                if self.frames % _SAMPLE == 0:
                    self._note(frame)

    def _note(self, frame: bytes) -> None:
        at = frame.find(_TIME)
        if at >= 0:
            start = at + len(_TIME)
            text = frame[start : start + _TIME_LENGTH].decode()
            self.lags_ms.append(1000 * (time.time() - datetime.fromisoformat(text).timestamp()))
