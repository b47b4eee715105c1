"""Trees for the MST tests: keys of known layers, record CIDs, and a slow model of the tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st

from repo.cid import Cid
from repo.mst import MemoryBlocks, Mst, UncachedNodeStore, build_blocks
from repo.mst.diff import iter_differences
from repo.mst.key import key_height

unhurried = settings(deadline=None)
"""For property tests: how long one example takes says more of the machine than of the tree."""

VALUES = [Cid.of_dag_cbor(bytes([n])) for n in range(4)]


def _keys_of_many_layers() -> list[str]:
    """Few enough keys that random edits meet, with high layers and gaps between layers."""
    keys: dict[int, list[str]] = {}
    for number in range(40_000):
        key = f"com.example.record/{number}"
        kept = keys.setdefault(key_height(key.encode()), [])
        if len(kept) < 12:
            kept.append(key)
    return sorted(key for kept in keys.values() for key in kept)


KEYS = _keys_of_many_layers()

keys = st.sampled_from(KEYS)
values = st.sampled_from(VALUES)
records = st.dictionaries(keys, values, max_size=40)
Edits: TypeAlias = "list[tuple[str, Cid | None]]"
edits = st.lists(st.tuples(keys, st.one_of(st.none(), values)), max_size=12)
"""What becomes of each key: a record, or nothing."""


def tree_of(items: dict[str, Cid]) -> Mst:
    """Build a tree in one pass."""
    root, blocks = root_and_blocks(items)
    return Mst.load(root, MemoryBlocks(blocks))


def apply(tree: Mst, model: dict[str, Cid], changes: Iterable[tuple[str, Cid | None]]) -> Mst:
    """Make the changes to both the tree and the model."""
    for key, value in changes:
        if value is None:
            if key in model:
                del model[key]
                tree = tree.delete(key)
        elif key in model:
            model[key] = value
            tree = tree.update(key, value)
        else:
            model[key] = value
            tree = tree.create(key, value)
    return tree


def node_blocks(items: dict[str, Cid]) -> dict[Cid, bytes]:
    """Every node of the tree of `items`."""
    return dict(build_blocks(sorted(items.items())))


def root_and_blocks(items: dict[str, Cid]) -> tuple[Cid, dict[Cid, bytes]]:
    """The root of the tree of `items`, and every node of it."""
    blocks = node_blocks(items)
    return next(reversed(blocks)), blocks


def differences(
    old: Cid, old_blocks: MemoryBlocks, new: Cid, new_blocks: MemoryBlocks
) -> list[tuple[str, Cid | None, Cid | None]]:
    """Each key whose record is not the same in two stored trees, with both records."""
    a, b = UncachedNodeStore(old_blocks.get_block), UncachedNodeStore(new_blocks.get_block)
    return list(iter_differences(a, old.raw, b, new.raw))
