"""Events to append, and frames taken apart."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import cbor2

from repo import dagcbor
from repo.cid import Cid
from repo.commit import RecordOp
from sequencer.events import CommitEvent, IdentityEvent

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
OTHER_DID = "did:plc:3kwllkzztbpgdj7ujjfg4ubk"
START_MS = 1_800_000_000_000


@dataclass
class Clock:
    """Milliseconds since the Unix epoch, moved by the test."""

    ms: int = START_MS

    def __call__(self) -> int:
        return self.ms


def cid(seed: object) -> Cid:
    return Cid.of_dag_cbor(repr(seed).encode())


def commit_event(number: int = 0, *, did: str = DID, block_bytes: int = 3_000) -> CommitEvent:
    """A commit that creates one post in a repo of some size."""
    return CommitEvent(
        did=did,
        commit=cid(number),
        rev=f"3n2qm55{number:06d}",
        since=f"3n2qm55{number - 1:06d}",
        blocks=bytes(block_bytes),
        ops=(RecordOp("create", f"app.bsky.feed.post/{number}", cid(("post", number)), None),),
        prev_data=cid(("data", number)),
    )


def identity_event(number: int = 0, *, did: str = DID) -> IdentityEvent:
    return IdentityEvent(did, f"user-{number}.test")


def parse_frame(message: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and body of a WebSocket message; both must be canonical DAG-CBOR."""
    stream = io.BytesIO(message)
    cbor2.load(stream, tag_hook=lambda _tag, _immutable: None)
    end = stream.tell()
    header, body = dagcbor.decode(message[:end]), dagcbor.decode(message[end:])
    assert isinstance(header, dict)
    assert isinstance(body, dict)
    return header, body


def seq_of(message: bytes) -> int:
    seq = parse_frame(message)[1]["seq"]
    assert isinstance(seq, int)
    return seq


async def take(frames: AsyncIterator[bytes], count: int) -> list[bytes]:
    return [await anext(frames) for _ in range(count)]


async def turn() -> None:
    """Let every other task run until it waits again."""
    await asyncio.sleep(0)
