"""The difference of two trees is that of their records, and reads no other nodes."""

from __future__ import annotations

from hypothesis import given

from repo.cid import Cid
from repo.mst import MemoryBlocks
from tests.repo.mst_support import (
    VALUES,
    Edits,
    differences,
    edits,
    records,
    root_and_blocks,
    unhurried,
)


@unhurried
@given(records, records)
def test_differences_of_any_two_trees_are_those_of_their_records(
    old: dict[str, Cid], new: dict[str, Cid]
) -> None:
    assert differences(*tree(old), *tree(new)) == expected(old, new)


@unhurried
@given(records, edits)
def test_differences_after_an_edit_are_what_was_edited(old: dict[str, Cid], changes: Edits) -> None:
    new = dict(old)
    for key, value in changes:
        if value is None:
            new.pop(key, None)
        else:
            new[key] = value
    assert differences(*tree(old), *tree(new)) == expected(old, new)


def test_what_the_trees_share_is_not_read() -> None:
    read: list[Cid] = []

    class Counting(MemoryBlocks):
        def get_block(self, cid: Cid, /) -> bytes:
            read.append(cid)
            return super().get_block(cid)

    old = {f"com.example.record/{number:06}": VALUES[0] for number in range(5_000)}
    new = {**old, "com.example.record/002500": VALUES[1]}
    (a, a_blocks), (b, b_blocks) = root_and_blocks(old), root_and_blocks(new)
    found = differences(a, Counting(a_blocks), b, Counting(b_blocks))
    assert found == [("com.example.record/002500", VALUES[0], VALUES[1])]
    assert len(a_blocks) > 1_000
    assert len(read) < 24


def tree(items: dict[str, Cid]) -> tuple[Cid, MemoryBlocks]:
    root, blocks = root_and_blocks(items)
    return root, MemoryBlocks(blocks)


def expected(old: dict[str, Cid], new: dict[str, Cid]) -> list[tuple[str, Cid | None, Cid | None]]:
    keys = sorted(old.keys() | new.keys())
    pairs = [(key, old.get(key), new.get(key)) for key in keys]
    return [(key, before, after) for key, before, after in pairs if before != after]
