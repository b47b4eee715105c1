"""A consumer of subscribeRepos that believes nothing it has not checked."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import cbor2

from repo import dagcbor
from repo.cid import Cid
from repo.commit import RecordOp, decode_commit
from repo.keys import PublicKey
from repo.mst import MemoryBlocks, Mst
from tests.pds.api.exports import Export, read_car
from tests.pds.conftest import Pds
from tests.repo.inversion import invert

MAX_EVENT_BYTES = 2_000_000


@dataclass(slots=True, frozen=True)
class Message:
    """One WebSocket message: `kind` is `t` of the header, or `error`."""

    kind: str
    body: dict[str, Any]

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Take a message apart; header and body must be canonical DAG-CBOR."""
        stream = io.BytesIO(data)
        cbor2.load(stream, tag_hook=lambda _tag, _immutable: None)
        end = stream.tell()
        header, body = dagcbor.decode(data[:end]), dagcbor.decode(data[end:])
        assert isinstance(header, dict)
        assert isinstance(body, dict)
        if header == {"op": -1}:
            return cls("error", body)
        assert header == {"op": 1, "t": header["t"]}
        return cls(str(header["t"]), body)

    @property
    def seq(self) -> int:
        return int(self.body["seq"])


@dataclass(slots=True)
class Consumer:
    """An open subscription."""

    socket: aiohttp.ClientWebSocketResponse

    async def next(self) -> Message:
        """The next message. Fails if the server closes instead."""
        return Message.parse(await self.socket.receive_bytes(timeout=20))

    async def take(self, count: int) -> list[Message]:
        """The next messages."""
        return [await self.next() for _ in range(count)]

    async def until(self, seq: int) -> list[Message]:
        """The messages up to that of an event."""
        messages = [await self.next()]
        while messages[-1].seq < seq:
            messages.append(await self.next())
        return messages

    async def end(self) -> tuple[list[Message], int | None, str | None]:
        """All messages until the server closes, then the code and the reason of the close."""
        messages = []
        while (got := await self.socket.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
            messages.append(Message.parse(got.data))
        reason = got.extra if got.type is aiohttp.WSMsgType.CLOSE else None
        return messages, self.socket.close_code, reason


@asynccontextmanager
async def subscribed(pds: Pds, cursor: object = None, **options: Any) -> AsyncIterator[Consumer]:
    """Subscribe, from `cursor` if that is given."""
    params = {} if cursor is None else {"cursor": str(cursor)}
    url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with pds.http.ws_connect(url, params=params, max_msg_size=0, **options) as socket:
        yield Consumer(socket)


def verify_commit(body: dict[str, Any], key: PublicKey) -> dict[Cid, bytes]:
    """Check one #commit event as Sync 1.1 asks and strict consumers do, and return its blocks.

    Blocks hash to their CIDs, the commit says what the event says and is signed, every
    operation's record is there, and undoing the operations gives `prevData`.
    """
    assert len(body["blocks"]) <= MAX_EVENT_BYTES
    roots, blocks = read_car(body["blocks"])
    assert roots == (body["commit"],)
    commit = decode_commit(blocks[body["commit"]])
    assert (commit.did, commit.rev) == (body["repo"], body["rev"])
    assert commit.verify(key)
    ops = operations(body)
    assert len({op.path for op in ops}) == len(ops), "two operations on one record"
    assert all(op.cid != op.prev for op in ops), "an operation that changes nothing"
    assert all(op.cid in blocks for op in ops if op.cid is not None)
    assert (body["rebase"], body["tooBig"], body["blobs"]) == (False, False, [])
    if "prevData" in body:
        assert ops, "a commit that changes nothing"
        assert body["since"] < body["rev"]
        assert invert(commit.data, MemoryBlocks(blocks), ops) == body["prevData"]
    else:
        assert body["since"] is None
        assert invert(commit.data, MemoryBlocks(blocks), ops) == Mst.empty().root
    return blocks


def operations(body: dict[str, Any]) -> list[RecordOp]:
    """The operations of a #commit event; `prev` must be present just where there was a record."""
    assert all(("prev" in op) == (op["action"] != "create") for op in body["ops"])
    assert all((op["cid"] is None) == (op["action"] == "delete") for op in body["ops"])
    return [RecordOp(op["action"], op["path"], op["cid"], op.get("prev")) for op in body["ops"]]


@dataclass(slots=True)
class Mirror:
    """What a consumer knows of one repository from its events alone."""

    key: PublicKey
    records: dict[str, Cid] = field(default_factory=dict)
    rev: str | None = None
    data: Cid | None = None
    commit: Cid | None = None
    commits: int = 0

    def follow(self, message: Message) -> None:
        """Apply one event, which must fit what is known."""
        if message.kind == "#sync":
            assert message.body["rev"] == self.rev, "the log and the mirror differ"
        if message.kind != "#commit":
            return
        body = message.body
        blocks = verify_commit(body, self.key)
        assert (body["since"], body.get("prevData")) == (self.rev, self.data), "a gap"
        for op in operations(body):
            assert self.records.get(op.path) == op.prev
            if op.cid is None:
                del self.records[op.path]
            else:
                self.records[op.path] = op.cid
        self.rev, self.commit = body["rev"], body["commit"]
        self.data = decode_commit(blocks[body["commit"]]).data
        self.commits += 1

    def check(self, export: Export) -> None:
        """The mirror and the repository must be the same."""
        assert self.records == export.records
        assert (self.rev, self.data) == (export.commit.rev, export.commit.data)
        assert self.commit == export.head
