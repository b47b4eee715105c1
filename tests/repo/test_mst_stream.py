"""A tree block by block: everything once, parents first, in the order of the keys."""

from __future__ import annotations

import pytest
from hypothesis import given

from repo.cid import Cid
from repo.mst import (
    InvalidMst,
    MemoryBlocks,
    MissingBlock,
    TreeNode,
    TreeRecord,
    stream_tree,
)
from repo.mst.decode import decode_node
from repo.mst.key import key_height
from tests.repo.mst_support import KEYS, VALUES, records, root_and_blocks, unhurried


def expected_order(cid: Cid, blocks: dict[Cid, bytes]) -> list[Cid | str]:
    """The nodes by CID and the records by key, as the definition has it."""
    node = decode_node(blocks[cid], cid.raw)
    order: list[Cid | str] = [cid]
    for index, link in enumerate(node.links):
        if isinstance(link, bytes):
            order += expected_order(Cid(link), blocks)
        if index < len(node.keys):
            order.append(node.keys[index].decode())
    return order


@unhurried
@given(records)
def test_every_node_comes_before_what_hangs_below_it(items: dict[str, Cid]) -> None:
    root, blocks = root_and_blocks(items)
    met = list(stream_tree(root, MemoryBlocks(blocks)))
    order = [item.cid if isinstance(item, TreeNode) else item.key for item in met]
    assert order == expected_order(root, blocks)
    assert {item.cid: item.block for item in met if isinstance(item, TreeNode)} == blocks
    assert {item.key: item.cid for item in met if isinstance(item, TreeRecord)} == items


def test_a_missing_node_is_named_when_the_walk_arrives_there() -> None:
    root, blocks = root_and_blocks(dict.fromkeys(KEYS, VALUES[0]))
    last = [i for i in stream_tree(root, MemoryBlocks(blocks)) if isinstance(i, TreeNode)][-1]
    del blocks[last.cid]
    walk = stream_tree(root, MemoryBlocks(blocks))
    assert next(walk) == TreeNode(root, blocks[root])
    with pytest.raises(MissingBlock) as missing:
        list(walk)
    assert missing.value.cid == last.cid


def test_a_node_out_of_place_is_named() -> None:
    root, blocks = root_and_blocks(dict.fromkeys(KEYS, VALUES[0]))
    highest = max(KEYS, key=lambda key: key_height(key.encode()))
    other, more = root_and_blocks({highest: VALUES[1]})
    victim = next(cid for cid in blocks if cid != root)
    forged = {**blocks, victim: more[other]}
    with pytest.raises(InvalidMst, match=str(victim)):
        list(stream_tree(root, MemoryBlocks(forged)))
