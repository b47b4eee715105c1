"""Proofs hold what a consumer needs: to see a record, or to invert a commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given

from repo.cid import Cid
from repo.mst import MemoryBlocks, MissingBlock, Mst
from tests.repo.interop import vectors
from tests.repo.inversion import InversionMismatch, invert
from tests.repo.mst_support import (
    KEYS,
    VALUES,
    Edits,
    apply,
    edits,
    keys,
    records,
    tree_of,
    unhurried,
)


@dataclass
class Op:
    action: Literal["create", "update", "delete"]
    path: str
    cid: Cid | None
    prev: Cid | None


def test_covering_proofs_are_those_of_the_interop_vectors() -> None:
    for case in vectors("firehose/commit-proof-fixtures.json"):
        value = Cid.parse(case["leafValue"])
        before = apply(Mst.empty(), {}, ((key, value) for key in case["keys"]))
        assert str(before.root) == case["rootBeforeCommit"], case["comment"]
        after = before
        for key in case["adds"]:
            after = after.create(key, value)
        for key in case["dels"]:
            after = after.delete(key)
        assert str(after.root) == case["rootAfterCommit"], case["comment"]
        proof: dict[Cid, bytes] = {}
        for key in case["adds"] + case["dels"]:
            proof |= after.covering_proof(key)
        assert {str(cid) for cid in proof} == set(case["blocksInProof"]), case["comment"]


@unhurried
@given(records, keys)
def test_a_proof_alone_answers_for_its_key(items: dict[str, Cid], key: str) -> None:
    tree = tree_of(items)
    proof = tree.proof(key)
    assert next(iter(proof)) == tree.root
    assert Mst.load(tree.root, MemoryBlocks(proof)).get(key) == items.get(key)
    assert proof.items() <= tree.covering_proof(key).items()


@unhurried
@given(records, keys)
def test_a_covering_proof_leads_to_the_neighbours(items: dict[str, Cid], key: str) -> None:
    tree = tree_of(items)
    part = Mst.load(tree.root, MemoryBlocks(tree.covering_proof(key)))
    below = [other for other in sorted(items) if other < key]
    above = [other for other in sorted(items) if other > key]
    for neighbour in below[-1:] + above[:1]:
        assert part.get(neighbour) == items[neighbour]


def make_ops(items: dict[str, Cid], changes: Edits) -> tuple[dict[str, Cid], list[Op]]:
    model = dict(items)
    ops = []
    for key, value in changes:
        prev = model.get(key)
        if value is not None:
            ops.append(Op("update" if prev else "create", key, value, prev))
            model[key] = value
        elif prev is not None:
            ops.append(Op("delete", key, None, prev))
            del model[key]
    return model, ops


@unhurried
@given(records, edits)
def test_a_commit_is_inverted_with_no_more_than_its_event_holds(
    items: dict[str, Cid], changes: Edits
) -> None:
    old = tree_of(items)
    _, ops = make_ops(items, changes)
    new = apply(old, dict(items), changes)
    blocks = dict(new.changes_since(old).added)
    blocks |= new.proof(KEYS[0]) if not ops else {}
    for op in ops:
        blocks |= new.covering_proof(op.path)
    assert invert(new.root, MemoryBlocks(blocks), ops) == old.root


@unhurried
@given(records, edits)
def test_covering_proofs_of_single_operations_suffice_to_invert(
    items: dict[str, Cid], changes: Edits
) -> None:
    tree, model = tree_of(items), dict(items)
    for change in changes:
        _, ops = make_ops(model, [change])
        new = apply(tree, model, [change])
        for op in ops:
            proof = MemoryBlocks(new.covering_proof(op.path))
            assert invert(new.root, proof, [op]) == tree.root
        tree = new


def test_inversion_refuses_operations_that_do_not_fit_the_tree() -> None:
    a, b = VALUES[:2]
    tree = tree_of({KEYS[3]: a, KEYS[9]: a})
    blocks = MemoryBlocks(tree.covering_proof(KEYS[3]) | tree.covering_proof(KEYS[9]))
    for op in (
        Op("create", KEYS[3], b, None),
        Op("create", KEYS[3], a, b),
        Op("create", KEYS[4], a, None),
        Op("update", KEYS[3], a, None),
        Op("delete", KEYS[3], None, a),
        Op("delete", KEYS[4], None, None),
    ):
        with pytest.raises(InversionMismatch):
            invert(tree.root, blocks, [op])


def test_inversion_names_the_block_it_lacks() -> None:
    tree = tree_of(dict.fromkeys(KEYS, VALUES[0]))
    proof = tree.covering_proof(KEYS[50])
    missing = list(proof)[1]
    del proof[missing]
    with pytest.raises(MissingBlock) as caught:
        invert(tree.root, MemoryBlocks(proof), [Op("create", KEYS[50], VALUES[0], None)])
    assert caught.value.cid == missing
