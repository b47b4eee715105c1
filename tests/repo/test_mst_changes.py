"""What an edit adds and removes, against whole trees compared."""

from __future__ import annotations

from hypothesis import given

from repo.cid import Cid
from repo.mst import MemoryBlocks, Mst
from tests.repo.mst_support import (
    KEYS,
    VALUES,
    Edits,
    apply,
    edits,
    node_blocks,
    records,
    tree_of,
    unhurried,
)


@unhurried
@given(records, edits)
def test_an_edit_tells_exactly_the_nodes_it_added_and_removed(
    items: dict[str, Cid], changes: Edits
) -> None:
    model = dict(items)
    old = tree_of(items)
    new = apply(old, model, changes)
    before, after = node_blocks(items), node_blocks(model)
    result = new.changes_since(old)
    assert result.added == {cid: after[cid] for cid in after.keys() - before.keys()}
    assert sorted(result.removed) == sorted(before.keys() - after.keys())


@unhurried
@given(records, edits, edits)
def test_edits_undone_leave_no_change(items: dict[str, Cid], changes: Edits, more: Edits) -> None:
    old = tree_of(items)
    model = dict(items)
    new = apply(old, model, changes)
    assert new.root == tree_of(model).root
    undo = [(key, items.get(key)) for key, _ in reversed(changes)]
    back = apply(new, model, undo)
    assert back.root == old.root
    assert back.changes_since(old).added == {}
    assert back.changes_since(old).removed == ()
    apply(back, model, more)
    again = apply(back, dict(items), more)
    before, after = node_blocks(items), node_blocks(model)
    assert again.changes_since(old).added.keys() == after.keys() - before.keys()


def test_a_first_tree_is_all_new() -> None:
    tree = apply(Mst.empty(), {}, [(key, VALUES[0]) for key in KEYS])
    assert tree.changes_since(None).added == node_blocks(dict.fromkeys(KEYS, VALUES[0]))
    assert tree.changes_since(None).removed == ()


def test_one_edit_reads_and_writes_no_more_than_paths() -> None:
    read: list[Cid] = []

    class Counting(MemoryBlocks):
        def get_block(self, cid: Cid, /) -> bytes:
            read.append(cid)
            return super().get_block(cid)

    items = {f"com.example.record/{number:06}": VALUES[0] for number in range(0, 20_000, 2)}
    blocks = node_blocks(items)
    old = Mst.load(next(reversed(blocks)), Counting(blocks))
    new = old.create("com.example.record/010001", VALUES[1])
    new.covering_proof("com.example.record/010001")
    assert len(new.changes_since(old).added) < 25
    assert len(read) < 40
