"""Blocks from outside that are no canonical tree: each is refused as such, never worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo.cid import Cid
from repo.mst import InvalidMst, MemoryBlocks, Mst, MstError, Node
from repo.mst.decode import decode_node
from repo.mst.key import key_height
from tests.repo.mst_support import KEYS, VALUES, differences, node_blocks, root_and_blocks
from tests.repo.sound_tree import verify_structure

LAYERS = {layer: [key for key in KEYS if key_height(key.encode()) == layer] for layer in (0, 1, 2)}


def link(cid: Cid) -> cbor2.CBORTag:
    return cbor2.CBORTag(42, b"\x00" + cid.raw)


def entry(key: str, *, shared: int = 0, right: Cid | None = None) -> dict[str, Any]:
    tail = None if right is None else link(right)
    return {"k": key.encode(), "p": shared, "t": tail, "v": link(VALUES[0])}


def encode(*entries: object, left: Cid | None = None, **more: object) -> bytes:
    node = {"e": list(entries), "l": None if left is None else link(left), **more}
    return cbor2.dumps(node, canonical=True)


def decode(block: bytes) -> Node:
    return decode_node(block, Cid.of_dag_cbor(block).raw)


A, B = LAYERS[0][:2]
HIGH = LAYERS[1][0]
SOUND = entry(A)
SHARED_AB = len("com.example.record/") + next(
    i for i, (x, y) in enumerate(zip(A.split("/")[1], B.split("/")[1], strict=False)) if x != y
)
SOUND_B = entry(B[SHARED_AB:], shared=SHARED_AB)

MALFORMED = {
    "no CBOR": b"\xff",
    "nothing": b"",
    "cut short": encode(SOUND)[:-1],
    "followed by more": encode(SOUND) + b"\x00",
    "a list": cbor2.dumps([]),
    "a number": cbor2.dumps(7),
    "no entries": cbor2.dumps({"l": None}),
    "no left link": cbor2.dumps({"e": []}),
    "entries that are a map": cbor2.dumps({"e": {}, "l": None}),
    "another field": encode(SOUND, x=1),
    "an entry that is a list": encode([]),
    "an entry without prefix": encode({k: v for k, v in SOUND.items() if k != "p"}),
    "an entry without key": encode({k: v for k, v in SOUND.items() if k != "k"}),
    "an entry without value": encode({k: v for k, v in SOUND.items() if k != "v"}),
    "an entry without subtree": encode({k: v for k, v in SOUND.items() if k != "t"}),
    "an entry with more": encode({**SOUND, "x": 1}),
    "a key that is text": encode({**SOUND, "k": A}),
    "a key that is no key": encode(entry("no-slash")),
    "a key of forbidden bytes": encode(entry("a/b c")),
    "a key that is too long": encode(entry("a/" + "b" * 1023)),
    "a key that is a link": encode({**SOUND, "k": link(VALUES[0])}),
    "a value that is bytes": encode({**SOUND, "v": VALUES[0].raw}),
    "a value that is null": encode({**SOUND, "v": None}),
    "a value that is text": encode({**SOUND, "v": "x"}),
    "a value of another hash": encode({**SOUND, "v": cbor2.CBORTag(42, b"\x00\x01\x55\x00\x01x")}),
    "a prefix that is true": encode({**SOUND, "p": True}),
    "a prefix that is text": encode({**SOUND, "p": "0"}),
    "a prefix of the first key": encode({**SOUND, "p": 1}),
    "a prefix below zero": encode(SOUND, {**SOUND_B, "p": -1}),
    "a prefix that is huge": encode(SOUND, {**SOUND_B, "p": 2**63}),
    "a prefix beyond the key": encode(SOUND, entry("x", shared=999)),
    "a prefix shorter than can be": encode(SOUND, entry(B)),
    "the same key twice": encode(SOUND, entry("", shared=len(A))),
    "keys out of order": encode(entry(B), entry(A[SHARED_AB:], shared=SHARED_AB)),
    "keys of two layers": encode(*(entry(k) for k in sorted((A, HIGH)))),
    "a subtree in layer 0": encode(entry(A, right=VALUES[1])),
    "a left subtree in layer 0": encode(SOUND, left=VALUES[1]),
    "a left link that is false": encode(SOUND).replace(b"al\xf6", b"al\xf4"),
    "fields in another order": cbor2.dumps({"l": None, "e": [SOUND]}),
    "a length in too many bytes": encode(SOUND).replace(b"ae\x81", b"ae\x98\x01"),
    "lists without end": b"\x81" * 5_000 + b"\x80",
}


@pytest.mark.parametrize("block", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_nodes_are_refused(block: bytes) -> None:
    with pytest.raises(InvalidMst):
        decode(block)


def test_sound_nodes_are_taken() -> None:
    assert decode(encode()).links == (None,)
    assert decode(encode(SOUND)).keys == (A.encode(),)
    assert decode(encode(SOUND, SOUND_B)).keys == (A.encode(), B.encode())
    assert decode(encode(left=VALUES[0])).links == (VALUES[0].raw,)


def corruptions(blocks: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda block, at, byte: block[: at % len(block)] + byte + block[at % len(block) + 1 :],
        blocks,
        st.integers(0, 10_000),
        st.binary(max_size=3),
    )


NODES = sorted(node_blocks(dict.fromkeys(KEYS, VALUES[0])).values())


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=80), corruptions(st.sampled_from(NODES))))
def test_any_bytes_are_a_node_or_refused_as_none(block: bytes) -> None:
    try:
        node = decode(block)
    except InvalidMst:
        return
    assert node.block == block
    assert list(node.keys) == sorted(set(node.keys))


def store(*blocks: bytes) -> tuple[Cid, MemoryBlocks]:
    """Blocks to read from, and the CID of the last."""
    by_cid = {Cid.of_dag_cbor(block): block for block in blocks}
    return next(reversed(by_cid)), MemoryBlocks(by_cid)


def cid(block: bytes) -> Cid:
    return Cid.of_dag_cbor(block)


def misshapen() -> Iterator[tuple[str, tuple[Cid, MemoryBlocks], str]]:
    """Trees of sound nodes that do not belong together, and a key on the way to the fault."""
    top = LAYERS[2][5]
    low = next(key for key in LAYERS[0] if key < top)
    beyond = next(key for key in LAYERS[1] if key > top)
    leaf, empty, outside = encode(entry(low)), encode(), encode(entry(beyond))
    yield "a layer is skipped", store(leaf, encode(entry(top), left=cid(leaf))), low
    yield "an empty node below", store(empty, encode(entry(top), left=cid(empty))), low
    yield "a key outside its gap", store(outside, encode(entry(top), left=cid(outside))), low
    lone = encode(left=cid(leaf))
    yield "a root without keys", store(leaf, lone), low
    chain = [leaf]
    for _ in range(3):
        chain.append(encode(left=cid(chain[-1])))
    yield "a chain that is too long", store(*chain, encode(entry(top), left=cid(chain[-1]))), low


CASES = {name: (tree, key) for name, tree, key in misshapen()}

READERS: list[Callable[[Mst, str], object]] = [
    lambda tree, key: tree.get(key),
    lambda tree, key: list(tree.walk()),
    lambda tree, key: tree.create(key, VALUES[0]),
    lambda tree, key: tree.delete(key),
    lambda tree, key: tree.covering_proof(key),
]


@pytest.mark.parametrize(("tree", "key"), CASES.values(), ids=CASES.keys())
def test_nodes_that_do_not_belong_together_are_refused(
    tree: tuple[Cid, MemoryBlocks], key: str
) -> None:
    root, blocks = tree
    with pytest.raises(InvalidMst):
        verify_structure(root, blocks)
    for read in READERS:
        with pytest.raises(MstError):
            read(Mst.load(root, blocks), key)
    other, other_blocks = root_and_blocks({B: VALUES[1]})
    with pytest.raises(MstError):
        differences(other, MemoryBlocks(other_blocks), root, blocks)


def test_a_block_that_is_not_its_cid_is_found() -> None:
    other = encode(SOUND)
    with pytest.raises(InvalidMst):
        verify_structure(VALUES[0], MemoryBlocks({VALUES[0]: other}))


def test_node_blocks_are_what_cbor2_writes() -> None:
    for block in NODES:
        value = cbor2.loads(block)
        assert cbor2.dumps(value, canonical=True) == block
