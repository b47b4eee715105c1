"""Merkle search trees as the specification tells them, without a line of the server's own code.

A tree is a list of its leaves in order. Where blocks are missing, a stub stands for a subtree.
Building the tree of that list again gives the root, and with it checks every rule of the form:
layers, order of keys, shared prefixes, no needless nodes.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import libipld

_CID_PREFIX = bytes([1, 0x71, 0x12, 0x20])


class NotEnoughBlocks(AssertionError):
    """The blocks at hand leave open what the tree looks like."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key and the CID of its record."""

    key: bytes
    value: bytes

    @property
    def layer(self) -> int:
        """Half the zero bits that the key's hash begins with."""
        bits = f"{int.from_bytes(hashlib.sha256(self.key).digest()):0256b}"
        return (len(bits) - len(bits.lstrip("0"))) // 2


@dataclass(frozen=True, slots=True)
class Stub:
    """A subtree whose root is not among the blocks."""

    cid: bytes
    layer: int


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit says of one record; CIDs are None before a creation and after a deletion."""

    key: bytes
    before: bytes | None
    after: bytes | None


Items = Sequence[Leaf | Stub]


def read_tree(root: bytes, blocks: Mapping[bytes, bytes]) -> list[Leaf | Stub]:
    """The leaves and stubs below `root`, whose own block must be there."""
    items = list(_read(root, blocks, layer=None))
    keys = [item.key for item in items if isinstance(item, Leaf)]
    assert keys == sorted(set(keys))
    assert root_of(items) == root
    return items


def root_of(items: Items) -> bytes:
    """The CID of the tree's root. Raises `NotEnoughBlocks` where a stub would be cut or joined."""
    if not items:
        return _cid_of_node(None, [])
    root = _build(items, max(item.layer for item in items))
    assert root is not None
    return root


def undo(items: Items, changes: Sequence[Change]) -> list[Leaf | Stub]:
    """The tree as it was before `changes`."""
    result = list(items)
    for change in changes:
        place = _place_of(result, change.key)
        found = result[place] if place < len(result) else None
        if change.after is None:
            assert not isinstance(found, Leaf) or found.key != change.key
            if place and isinstance(result[place - 1], Stub):
                raise NotEnoughBlocks(f"what lies beside {change.key!r} is not among the blocks")
            result[place:place] = _leaves(change)
        else:
            assert found == Leaf(change.key, change.after)
            result[place : place + 1] = _leaves(change)
    return result


def _leaves(change: Change) -> list[Leaf]:
    return [] if change.before is None else [Leaf(change.key, change.before)]


def _place_of(items: Items, key: bytes) -> int:
    """Where the first leaf is that does not come before `key`."""
    leaves = ((at, item) for at, item in enumerate(items) if isinstance(item, Leaf))
    return next((at for at, leaf in leaves if leaf.key >= key), len(items))


def _read(cid: bytes, blocks: Mapping[bytes, bytes], *, layer: int | None) -> Items:
    if cid not in blocks:
        if layer is None:
            raise NotEnoughBlocks("the root is not among the blocks")
        return [Stub(cid, layer)]
    node: dict[str, Any] = libipld.decode_dag_cbor(blocks[cid])
    assert node.keys() == {"l", "e"}
    leaves: list[Leaf] = []
    for entry in node["e"]:
        assert entry.keys() == {"k", "p", "t", "v"}
        before = leaves[-1].key if leaves else b""
        leaves.append(Leaf(before[: entry["p"]] + entry["k"], entry["v"]))
    layer = leaves[0].layer if layer is None and leaves else layer
    subtrees = [node["l"], *(entry["t"] for entry in node["e"])]
    items: list[Leaf | Stub] = []
    for leaf, subtree in zip([None, *leaves], subtrees, strict=True):
        if leaf is not None:
            items.append(leaf)
        if subtree is not None:
            assert layer is not None
            assert layer > 0
            items.extend(_read(subtree, blocks, layer=layer - 1))
    return items


def _build(items: Items, layer: int) -> bytes | None:
    """The CID of the node at `layer` that holds `items`; None for none."""
    if not items:
        return None
    if len(items) == 1 and isinstance(items[0], Stub) and items[0].layer == layer:
        return items[0].cid
    leaves: list[Leaf] = []
    gaps: list[list[Leaf | Stub]] = [[]]
    for item in items:
        if item.layer != layer:
            gaps[-1].append(item)
        elif isinstance(item, Leaf):
            leaves.append(item)
            gaps.append([])
        else:
            raise NotEnoughBlocks(f"a subtree at layer {layer} would be cut or joined")
    left, *rights = (_build(gap, layer - 1) for gap in gaps)
    entries = []
    for before, leaf, right in zip([None, *leaves], leaves, rights, strict=False):
        shared = _shared(before.key, leaf.key) if before else 0
        entries.append({"k": leaf.key[shared:], "p": shared, "t": right, "v": leaf.value})
    return _cid_of_node(left, entries)


def _shared(first: bytes, second: bytes) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _cid_of_node(left: bytes | None, entries: list[dict[str, Any]]) -> bytes:
    block = libipld.encode_dag_cbor({"l": left, "e": entries})
    return _CID_PREFIX + hashlib.sha256(block).digest()
