"""Repositories in CARs for tests: sound ones, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repo import dagcbor
from repo.car import encode_car
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import build_blocks
from tests.reference.data import CARS

FIXTURE_CARS = sorted(CARS.glob("*.car"))

DID = "did:plc:3kwllkzztbpgdj7ujjfg4ubk"
REV = "3n2qm55oosc2x"
KEY = K256PrivateKey.from_bytes(b"\x11" * 32)
OTHER_KEY = K256PrivateKey.from_bytes(b"\x22" * 32)

POST = "app.bsky.feed.post"

BLOB = Cid.of_raw(b"a picture")
LEGACY_BLOB = Cid.of_raw(b"an old picture")

RECORDS: dict[str, Any] = {
    "app.bsky.actor.profile/self": {
        "$type": "app.bsky.actor.profile",
        "avatar": {"$type": "blob", "ref": BLOB, "mimeType": "image/png", "size": 9},
    },
    **{f"{POST}/3jzfcijpj2z{n}a": {"$type": POST, "text": f"number {n}"} for n in "234567"},
    "com.example.note/old": {"image": {"cid": str(LEGACY_BLOB), "mimeType": "image/png"}},
    "com.example.note/same1": {"text": "the same"},
    "com.example.note/same2": {"text": "the same"},
    "com.example.note/UPPER": {"bytes": b"\x00\xff", "link": BLOB},
}


@dataclass(slots=True)
class Parts:
    """What a CAR is made of, to be changed before it is."""

    roots: list[Cid]
    blocks: list[tuple[Cid, bytes]]
    """The commit, the nodes with the root of the tree first, then the records."""
    nodes: int

    def encode(self) -> bytes:
        return encode_car(self.roots, self.blocks)


def parts_of(
    records: Mapping[str, Any] = RECORDS,
    *,
    did: str = DID,
    rev: str = REV,
    key: K256PrivateKey = KEY,
) -> Parts:
    """The blocks of a repository with `records` by key."""
    blocks = {path: dagcbor.encode(value) for path, value in records.items()}
    return parts_of_blocks(blocks, did=did, rev=rev, key=key)


def parts_of_blocks(
    records: Mapping[str, bytes],
    *,
    did: str = DID,
    rev: str = REV,
    key: K256PrivateKey = KEY,
) -> Parts:
    """As `parts_of`, of the records' blocks, which need not be records."""
    by_cid = {Cid.of_dag_cbor(block): block for block in records.values()}
    cids = {path: Cid.of_dag_cbor(block) for path, block in records.items()}
    nodes = list(build_blocks(sorted(cids.items())))[::-1]
    signed = sign_commit(did, data=nodes[0][0], rev=rev, key=key)
    return Parts(
        [signed.cid], [(signed.cid, signed.block), *nodes, *by_cid.items()], nodes=len(nodes)
    )


def car_of(records: Mapping[str, Any] = RECORDS, **more: Any) -> bytes:
    """The CAR of `parts_of`."""
    return parts_of(records, **more).encode()
