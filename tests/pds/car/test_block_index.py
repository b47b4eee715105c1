"""The index of blocks: every block is found again, at any size, and marked once."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pds.car.block_index import MAX_OFFSET, BlockIndex


def cid(number: int) -> bytes:
    return b"\x01\x71\x12\x20" + hashlib.sha256(b"%d" % number).digest()


def offsets(index: BlockIndex, key: bytes) -> list[int]:
    return [index.offset(slot) for slot in index.slots(key)]


@given(st.dictionaries(st.binary(min_size=4, max_size=40), st.integers(1, MAX_OFFSET)))
def test_what_is_added_is_among_what_is_found(added: dict[bytes, int]) -> None:
    index = BlockIndex()
    for key, offset in added.items():
        index.add(key, offset)
    assert len(index) == len(added)
    for key, offset in added.items():
        assert offset in offsets(index, key)


def test_growing_loses_nothing() -> None:
    index = BlockIndex()
    for number in range(20_000):
        index.add(cid(number), number + 1)
    wrong = 0
    for number in range(20_000):
        found = offsets(index, cid(number))
        assert number + 1 in found
        wrong += len(found) - 1
    # Hits that are not the block asked for cost a read of the file; they have to be rare.
    assert wrong < 100
    assert sum(len(index.slots(cid(number))) for number in range(20_000, 40_000)) < 100


def test_marks_are_set_once_and_survive_growth() -> None:
    index = BlockIndex()
    index.add(cid(1), 70)
    (slot,) = index.slots(cid(1))
    assert index.mark(slot)
    assert not index.mark(slot)
    assert index.offset(slot) == 70
    for number in range(2, 5_000):
        index.add(cid(number), number * 100)
    assert 70 not in set(index.iter_unmarked())
    assert sum(1 for _ in index.iter_unmarked()) == 4_998
    index.clear_marks()
    assert sum(1 for _ in index.iter_unmarked()) == 4_999
    assert all(offset % 100 == 0 or offset == 70 for offset in index.iter_unmarked())


def test_a_block_takes_few_bytes() -> None:
    index = BlockIndex()
    for number in range(30_000):
        index.add(cid(number), number + 1)
    assert len(index._entries) * index._entries.itemsize < 24 * 30_000
