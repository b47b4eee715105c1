"""Commits: what a batch of writes stores, deletes and tells the firehose."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo import dagcbor
from repo.car import CarReader
from repo.cid import Cid
from repo.commit import (
    Action,
    CommitData,
    Head,
    InvalidCommit,
    RecordOp,
    RecordWrite,
    build_commit,
    decode_commit,
    sign_commit,
)
from repo.keys import K256PrivateKey
from repo.mst import KeyExists, KeyMissing, MemoryBlocks, Mst, Node
from tests.reference import data as reference_data
from tests.repo.inversion import invert
from tests.repo.mst_support import (
    KEYS,
    Edits,
    edits,
    node_blocks,
    records,
    tree_of,
    unhurried,
)
from tests.repo.sound_tree import verify_structure

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
REV, NEXT_REV = "3l2fh5jjoyk22", "3l2fh5jjoyl22"
KEY = K256PrivateKey.from_bytes(hashlib.sha256(b"a key for tests").digest())
DATA = Mst.empty().root
HEAD = Head(Cid.of_dag_cbor(b"the commit before"), REV)


def write(action: Action, path: str, value: int = 0) -> RecordWrite:
    collection, rkey = path.split("/")
    if action == "delete":
        return RecordWrite("delete", collection, rkey)
    block = dagcbor.encode({"$type": collection, "value": value})
    return RecordWrite(action, collection, rkey, Cid.of_dag_cbor(block), block)


def commit(tree: Mst, head: Head | None, *writes: RecordWrite) -> CommitData:
    rev = REV if head is None else NEXT_REV
    return build_commit(DID, tree=tree, head=head, writes=writes, rev=rev, key=KEY)


def test_a_commit_block_has_the_six_fields_of_version_3() -> None:
    signed = sign_commit(DID, data=DATA, rev=REV, key=KEY)
    assert dagcbor.decode(signed.block) == {
        "did": DID,
        "version": 3,
        "data": DATA,
        "rev": REV,
        "prev": None,
        "sig": signed.commit.sig,
    }
    assert signed.cid == Cid.of_dag_cbor(signed.block)
    assert decode_commit(signed.block) == signed.commit


def test_equal_content_gives_an_equal_commit() -> None:
    first = sign_commit(DID, data=DATA, rev=REV, key=KEY)
    assert sign_commit(DID, data=DATA, rev=REV, key=KEY) == first


def test_a_signature_holds_for_its_key_and_fields_only() -> None:
    signed = sign_commit(DID, data=DATA, rev=REV, key=KEY).commit
    assert signed.verify(KEY.public)
    assert not signed.verify(K256PrivateKey.generate().public)
    other = sign_commit(DID, data=DATA, rev=NEXT_REV, key=KEY).commit
    assert not type(signed)(DID, REV, DATA, other.sig).verify(KEY.public)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": True},
        {"did": 1},
        {"did": "alice.test"},
        {"rev": "3l2"},
        {"rev": None},
        {"data": None},
        {"data": "bafy"},
        {"prev": 1},
        {"sig": b"short"},
        {"sig": "x" * 64},
        {"more": 1},
    ],
    ids=str,
)
def test_blocks_that_are_no_commit_are_refused(change: dict[str, dagcbor.Value]) -> None:
    fields = dagcbor.decode(sign_commit(DID, data=DATA, rev=REV, key=KEY).block)
    assert isinstance(fields, dict)
    with pytest.raises(InvalidCommit):
        decode_commit(dagcbor.encode({**fields, **change}))


def test_bytes_that_are_no_map_or_lack_a_field_are_refused() -> None:
    fields = dagcbor.decode(sign_commit(DID, data=DATA, rev=REV, key=KEY).block)
    assert isinstance(fields, dict)
    for name in fields:
        rest = {key: value for key, value in fields.items() if key != name}
        with pytest.raises(InvalidCommit):
            decode_commit(dagcbor.encode(rest))
    for block in (b"", b"\xff", dagcbor.encode([]), dagcbor.encode(fields) + b"\x00"):
        with pytest.raises(InvalidCommit):
            decode_commit(block)


def test_a_first_commit_stores_the_empty_root_and_itself() -> None:
    made = commit(Mst.empty(), None)
    assert (made.since, made.prev_data, made.ops, made.removed_cids) == (None, None, (), ())
    assert made.data == DATA
    assert list(made.new_blocks) == [DATA, made.cid]
    assert made.event_blocks == made.new_blocks


def test_a_first_commit_may_bring_records() -> None:
    made = commit(Mst.empty(), None, write("create", KEYS[0]))
    assert made.new_blocks.keys() == made.event_blocks.keys()
    assert len(made.new_blocks) == 3
    assert made.prev_data is None


def test_ops_tell_the_record_now_and_before() -> None:
    first = commit(Mst.empty(), None, write("create", KEYS[0], 1), write("create", KEYS[1], 2))
    tree = Mst.load(first.data, MemoryBlocks(first.new_blocks))
    update, create = write("update", KEYS[0], 3), write("create", KEYS[2], 4)
    second = commit(tree, Head(first.cid, first.rev), update, write("delete", KEYS[1]), create)
    assert second.ops == (
        RecordOp("update", KEYS[0], update.cid, first.ops[0].cid),
        RecordOp("delete", KEYS[1], None, first.ops[1].cid),
        RecordOp("create", KEYS[2], create.cid, None),
    )
    assert (second.since, second.prev_data) == (first.rev, first.data)
    assert second.removed_cids[0] == first.cid
    assert decode_commit(second.block).data == second.data


def test_event_blocks_are_nodes_then_records_then_commit_then_proofs() -> None:
    items = dict.fromkeys(KEYS, Cid.of_dag_cbor(b"x"))
    del items[KEYS[40]]
    old = tree_of(items)
    made = commit(old, HEAD, write("create", KEYS[40]), write("delete", KEYS[3]))
    order = list(made.event_blocks)
    nodes = node_blocks(dict(_tree_after(old, made).walk()))
    position = order.index(made.cid)
    record = made.ops[0].cid
    assert order[position - 1] == record
    assert all(cid in nodes for cid in order[: position - 1])
    assert list(made.new_blocks) == order[: position + 1]
    assert order[position + 1 :]
    assert all(cid in nodes and cid not in made.new_blocks for cid in order[position + 1 :])


def _tree_after(old: Mst, made: CommitData) -> Mst:
    blocks = node_blocks(dict(old.walk())) | made.new_blocks
    return Mst.load(made.data, MemoryBlocks(blocks))


def test_writes_that_do_not_fit_the_tree_are_refused() -> None:
    tree = tree_of({KEYS[0]: DATA})
    with pytest.raises(KeyExists):
        commit(tree, HEAD, write("create", KEYS[0]))
    for action in ("update", "delete"):
        with pytest.raises(KeyMissing):
            commit(tree, HEAD, write(action, KEYS[1]))
    with pytest.raises(ValueError, match="without a record"):
        commit(tree, HEAD, RecordWrite("create", "com.example.record", "x"))


def _writes(items: dict[str, Cid], changes: Edits) -> tuple[dict[str, Cid], list[RecordWrite]]:
    model, writes = dict(items), []
    for number, (key, value) in enumerate(changes):
        if value is None and key not in model:
            continue
        action: Action = "delete" if value is None else "update" if key in model else "create"
        made = write(action, key, number)
        writes.append(made)
        if made.cid is None:
            del model[key]
        else:
            model[key] = made.cid
    return model, writes


@unhurried
@given(records, edits)
def test_a_commit_stores_and_deletes_what_leads_to_the_new_tree(
    items: dict[str, Cid], changes: Edits
) -> None:
    old = tree_of(items)
    model, writes = _writes(items, changes)
    made = commit(old, HEAD, *writes)
    stored = node_blocks(items) | made.new_blocks
    for cid in set(made.removed_cids) - {HEAD.cid}:
        del stored[cid]
    assert made.data == tree_of(model).root
    assert verify_structure(made.data, MemoryBlocks(stored)).records == len(model)
    written = {write.cid for write in writes}
    assert stored.keys() - written - {made.cid} == node_blocks(model).keys()


@unhurried
@given(records, edits.filter(len))
def test_a_consumer_inverts_the_event_to_the_data_before(
    items: dict[str, Cid], changes: Edits
) -> None:
    old = tree_of(items)
    _, writes = _writes(items, changes)
    made = commit(old, HEAD, *writes)
    if made.ops:
        assert invert(made.data, MemoryBlocks(made.event_blocks), made.ops) == made.prev_data


@unhurried
@given(st.integers(0, 40), st.integers(0, 40))
def test_a_next_write_needs_no_block_of_the_last(first: int, second: int) -> None:
    cache: dict[bytes, Node] = {}
    made = commit(Mst.empty(cache=cache), None, write("create", KEYS[first]))
    tree = Mst.load(made.data, MemoryBlocks({}), cache=cache)
    after = commit(tree, Head(made.cid, made.rev), write("create", KEYS[second] + "x"))
    assert after.prev_data == made.data


@pytest.mark.parametrize("name", ["alice", "bob", "dan", "eve"])
def test_repositories_of_the_reference_rebuild_to_their_root(name: str) -> None:
    with (reference_data.CARS / f"{name}.car").open("rb") as file:
        car = CarReader(file)
        (root,) = car.roots
        blocks = dict(car)
    found = decode_commit(blocks[root])
    tree = Mst.load(found.data, MemoryBlocks(blocks))
    items = list(tree.walk())
    assert tree_of(dict(items)).root == found.data
    again = Mst.empty()
    for key, value in reversed(items):
        again = again.create(key, value)
    assert again.root == found.data
    size = verify_structure(found.data, MemoryBlocks(blocks))
    assert size.records == len(items)
    assert len(blocks) == 1 + size.nodes + len({value for _, value in items})
