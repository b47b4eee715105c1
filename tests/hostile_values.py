"""Records that take as much of the processor as their size allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from repo import dagcbor
from repo.cid import Cid
from repo.datamodel import from_json
from tests.loop_blocks import LoopBlocks

LIMIT_MS: Final = 50.0
"""For which one step may hold the event loop."""
BODY_BYTES: Final = 990_000

_CID: Final = str(Cid.of_dag_cbor(b"some record"))
_ITEMS: Final[Mapping[str, Any]] = {
    "lists": [],
    "maps": {},
    "deep": orjson.loads("[" * 100 + "]" * 100),
    "integers": 1,
    "texts": "",
    "controls": "\u0001" * 100,
    "links": {"$link": _CID},
    "bytes": {"$bytes": ""},
    "typed": {"$type": "a"},
    "blobs": {
        "$type": "blob",
        "ref": {"$link": _CID},
        "mimeType": "image/png",
        "size": 1,
    },
}
KINDS: Final = tuple(_ITEMS)


def hostile_json(kind: str, size_bytes: int = BODY_BYTES) -> bytes:
    """A JSON list of so many bytes, full of items of one kind."""
    item = orjson.dumps(_ITEMS[kind])
    return b"[%b]" % b",".join([item] * (size_bytes // (len(item) + 1)))


def hostile_block(kind: str, collection: str, size_bytes: int = BODY_BYTES) -> bytes:
    """A record of so many bytes, full of items of one kind, as an import might bring it."""
    item = from_json(_ITEMS[kind])
    count = size_bytes // len(dagcbor.encode(item))
    return dagcbor.encode({"$type": collection, "x": [item] * count})


def assert_short(blocks: LoopBlocks) -> None:
    """No step has held the event loop for long."""
    assert blocks.longest_ms < LIMIT_MS, blocks.where
