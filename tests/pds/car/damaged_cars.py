"""CARs with whatever can be wrong with a repository, each in one way."""

from __future__ import annotations

import re
from collections.abc import Iterator

import cbor2

from repo import dagcbor
from repo.car import encode_block, encode_header, encode_varint
from repo.cid import Cid
from repo.commit import sign_commit
from repo.mst.key import key_height
from tests.pds.car.cars import DID, KEY, POST, REV, Parts, car_of, parts_of, parts_of_blocks


def names_its_place(reason: str) -> bool:
    return re.search(r"at byte \d+ of the CAR|\bbafy\w{55}\b|\bbafk\w{55}\b", reason) is not None


def damaged() -> Iterator[tuple[str, bytes, str]]:
    """What is wrong, the CAR, and a part of the reason."""
    sound = parts_of()
    (root,) = sound.roots
    header = encode_header([root])
    body = sound.encode()[len(header) :]
    yield "a part of a header", header[:40], "ends inside its header, at byte 0"
    yield "a header only", header, f"commit {root} is missing"
    yield "no root", encode_header([]) + body, "0 roots"
    yield "two roots", encode_header([root, root]) + body, "2 roots"
    yield "cut off", (header + body)[:-1], "ends inside a block, at byte"
    yield "an oversized header", encode_varint(20_000), "header of 20000 bytes is too large"
    yield "a header without an end", b"\xff" * 12, "length has no end, at byte 0"
    yield "a header of an exabyte", b"\xff" * 8 + b"\x7f", "is too large, at byte 0"
    yield "a block without an end", header + b"\xff" * 12, f"no end, at byte {len(header)}"
    yield "a block without a CID", header + b"\x01\x00" + body, f"at byte {len(header)}"
    yield "a CID of another kind", header + b"\x24" + bytes(36) + body, f"at byte {len(header)}"
    yield "a header that is no map", b"\x01\x80" + body, "at byte 0"
    yield "a header of version 2", version_2(header) + body, "not of version 1, at byte 0"
    yield "bytes behind the end", header + body + b"\x00", f"at byte {len(header + body)}"
    yield "an oversized block", header + encode_varint(3_000_000), f"at byte {len(header)}"
    wrong = encode_block(root, b"\xa0")
    yield "a wrong hash", header + wrong + body, f"does not hash to its CID {root}"
    yield "a root that is raw", encode_header([Cid.of_raw(sound.blocks[0][1])]) + body, "DAG-CBOR"
    node, record = sound.blocks[1][0], sound.blocks[-1][0]
    yield "a root that is a node", encode_header([node]) + body, f"root {node} is no commit"
    yield "a root that is a record", encode_header([record]) + body, f"{record} is no commit"
    yield "a missing node", without(sound, node), f"missing block: {node}"
    yield "a missing record", without(sound, record), f"({record}) is missing"
    yield from damaged_commits(sound)
    yield from damaged_trees()
    yield from damaged_records()


def version_2(header: bytes) -> bytes:
    return header.removesuffix(b"\x01") + b"\x02"


def without(parts: Parts, cid: Cid) -> bytes:
    return Parts(parts.roots, [block for block in parts.blocks if block[0] != cid], 0).encode()


def with_commit(parts: Parts, block: bytes) -> bytes:
    cid = Cid.of_dag_cbor(block)
    return Parts([cid], [(cid, block), *parts.blocks[1:]], 0).encode()


def damaged_commits(sound: Parts) -> Iterator[tuple[str, bytes, str]]:
    fields = dagcbor.decode(sound.blocks[0][1])
    assert isinstance(fields, dict)
    changes: dict[str, dict[str, dagcbor.Value]] = {
        "version 2": {"version": 2},
        "a rev that is no TID": {"rev": "0000000000000"},
        "a DID that is none": {"did": "did:plc:../../etc"},
        "a DID of 3,000 characters": {"did": "did:web:" + "a" * 3000},
        "no DID": {"did": ""},
        "a number for a rev": {"rev": 1},
        "a short signature": {"sig": b"\x00"},
        "data of raw bytes": {"data": Cid.of_raw(b"")},
        "data that is text": {"data": "x"},
    }
    for name, change in changes.items():
        block = dagcbor.encode({**fields, **change})
        place = "raw bytes" if name == "data of raw bytes" else str(Cid.of_dag_cbor(block))
        yield f"a commit with {name}", with_commit(sound, block), place.replace("raw bytes", "bafk")
    loose = cbor2.dumps(dict(reversed(cbor2.loads(sound.blocks[0][1]).items())))
    yield "a commit out of order", with_commit(sound, loose), "not in canonical form"


def damaged_trees() -> Iterator[tuple[str, bytes, str]]:
    record = dagcbor.encode({})
    cid = Cid.of_dag_cbor(record)

    def tree(*blocks: bytes) -> bytes:
        """A CAR with the last of `blocks` as the root of its tree."""
        named = [(Cid.of_dag_cbor(block), block) for block in blocks]
        signed = sign_commit(DID, data=named[-1][0], rev=REV, key=KEY)
        return Parts([signed.cid], [(signed.cid, signed.block), *named, (cid, record)], 0).encode()

    def node(*keys: str, left: Cid | None = None) -> bytes:
        return node_of([entry(key) for key in keys], left)

    def entry(key: str, *, shared: int = 0) -> dict[str, object]:
        return {"k": key.encode(), "p": shared, "t": None, "v": link(cid)}

    def node_of(entries: list[dict[str, object]], left: Cid | None = None) -> bytes:
        return cbor2.dumps({"e": entries, "l": left and link(left)}, canonical=True)

    empty = node()
    over = node(left=Cid.of_dag_cbor(empty))
    yield (
        "a tree with an empty node",
        tree(empty, over),
        f"no keys but a subtree, at node {Cid.of_dag_cbor(over)}",
    )
    unsorted = node("com.example.b/1", "com.example.a/1")
    yield "a tree out of order", tree(unsorted), str(Cid.of_dag_cbor(unsorted))
    low, high = "com.example.a/0", key_of_layer(1)
    for name, block in {
        "in two layers": node(low, high),
        "with a key twice": node_of([entry(low), entry("", shared=len(low))]),
        "with a prefix too short": node_of([entry(low), entry("/1", shared=13)]),
        "with a prefix too long": node_of([entry(low), entry("1", shared=99)]),
    }.items():
        yield f"a tree {name}", tree(block), str(Cid.of_dag_cbor(block))
    lower = node(low)
    deep = node(key_of_layer(2), left=Cid.of_dag_cbor(lower))
    yield "a tree that leaves out a layer", tree(lower, deep), "bafyrei"
    beyond = node("com.example.z/" + low[-1])
    behind = node(high, left=Cid.of_dag_cbor(beyond))
    yield "a tree with a subtree of other keys", tree(beyond, behind), "bafyrei"
    strange = node("../../etc/passwd")
    yield "a tree with a key that is none", tree(strange), str(Cid.of_dag_cbor(strange))
    indefinite = b"\xbfae\x80al\xf6\xff"
    yield "a tree that is not canonical", tree(indefinite), str(Cid.of_dag_cbor(indefinite))
    # A block cannot have its own CID in it, so a circle needs a false CID.
    circle = node(left=Cid.of_dag_cbor(b"circle"))
    forged = Cid.of_dag_cbor(b"circle")
    signed = sign_commit(DID, data=forged, rev=REV, key=KEY)
    parts = Parts([signed.cid], [(signed.cid, signed.block), (forged, circle)], 0)
    yield "a tree in a circle", parts.encode(), f"does not hash to its CID {forged}"


def key_of_layer(layer: int) -> str:
    keys = (f"com.example.b/{n}" for n in range(10_000))
    return next(key for key in keys if key_height(key.encode()) == layer)


def link(cid: Cid) -> cbor2.CBORTag:
    return cbor2.CBORTag(42, b"\x00" + cid.raw)


def odd_records() -> Iterator[tuple[str, bytes, str]]:
    bombs = {
        "a list": dagcbor.encode([]),
        "text": dagcbor.encode("x"),
        "bytes that are no CBOR": b"\xff",
        "nothing": b"",
        "keys out of order": b"\xa2abae" + b"\x00aa\x00",
        "a float": b"\xa1aa\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00",
        "a map with a key twice": b"\xa2aa\x00aa\x00",
        "a number that is none": b"\xa1aa\xf9\x7e\x00",
        "undefined": b"\xa1aa\xf7",
        "half a letter": b"\xa1aaa\xc3",
        "too large": dagcbor.encode({"a": "x" * 1_000_000}),
        "a million lists": b"\xa1aa\x9a\x00\x0f\x42\x40" + b"\x80" * 1_000_000,
        "an endless list": b"\xa1aa\x9f\x01\xff",
        "a shared value": cbor2.dumps({"a": cbor2.CBORTag(28, [1])}),
        "a list of a claimed billion": b"\xa1aa\x9a\x3b\x9a\xca\x00",
        "a text of a claimed exabyte": b"\xa1aa\x7b\x0f\xff\xff\xff\xff\xff\xff\xff",
        "a depth of 100,000": b"\xa1aa" + b"\x81" * 100_000 + b"\x00",
        "a number longer than need be": b"\xa1aa\x18\x01",
        "more behind it": dagcbor.encode({}) + b"\x00",
    }
    for name, block in bombs.items():
        car = parts_of_blocks({f"{POST}/a": dagcbor.encode({}), f"{POST}/b": block}).encode()
        yield f"a record that is {name}", car, f"{POST}/b ({Cid.of_dag_cbor(block)})"
    yield (
        "a record with upper case in its authority",
        car_of({"Com.example.x/a": {}}),
        "Com.example.x/a",
    )


def damaged_records() -> Iterator[tuple[str, bytes, str]]:
    node = dagcbor.encode({"e": [], "l": None})
    car = parts_of_blocks({f"{POST}/a": node}).encode()
    yield "a record that is a node", car, f"{POST}/a ({Cid.of_dag_cbor(node)})"
    empty = Cid.of_dag_cbor(dagcbor.encode({}))
    for key in ("not-an-nsid/a", f"{POST}/.", f"{POST}/..", f"{POST}/{'a' * 513}"):
        yield f"a record at {key[:30]}", car_of({key: {}}), f"({empty}): Invalid"


DAMAGED_CARS = {name: (car, part) for name, car, part in damaged()}
"""By what is wrong: the CAR, and a part of the reason that the CAR tools give."""

ODD_CARS = {name: (car, part) for name, car, part in odd_records()}
"""By what is odd about a record of an intact repository: the CAR, and how the tools name it."""
