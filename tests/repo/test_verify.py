"""Checks of an untrusted repository: each faulty part is refused by name."""

from __future__ import annotations

import pytest

from repo import dagcbor
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import MemoryBlocks
from repo.syntax import InvalidSyntax
from repo.verify import InvalidRepo, read_commit, root_of, split_key

KEY = K256PrivateKey.from_bytes(b"\x11" * 32)
DATA = Cid.of_dag_cbor(b"tree")
SIGNED = sign_commit("did:plc:" + "a" * 24, data=DATA, rev="3n2qm55oosc2x", key=KEY)
FIELDS: dict[str, dagcbor.Value] = {
    "did": "did:plc:x",
    "version": 3,
    "data": DATA,
    "rev": "3n2qm55oosc2x",
    "prev": None,
}


def test_the_root_is_the_only_one() -> None:
    assert root_of([DATA]) == DATA
    with pytest.raises(InvalidRepo, match=r"0 roots.*: none"):
        root_of([])
    with pytest.raises(InvalidRepo, match=f"5 roots.*{DATA}, {DATA}, {DATA}, …"):
        root_of([DATA] * 5)


def test_a_commit_is_read_with_its_block() -> None:
    blocks = MemoryBlocks({SIGNED.cid: SIGNED.block})
    assert read_commit(SIGNED.cid, blocks) == (SIGNED.commit, SIGNED.block)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"did": "did:plc:"},
        {"did": "did:plc:a b"},
        {"rev": "3n2qm55oosc2"},
        {"rev": "\x1b[2J333333333"},
        {"data": Cid.of_raw(b"")},
        {"data": Cid.from_bytes(b"\x01\x71\x00\x00")},
        {"data": None},
        {"prev": "x"},
        {"sig": "x"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_commit_with_a_fault_is_refused_by_its_cid(change: dict[str, dagcbor.Value]) -> None:
    block = dagcbor.encode({**FIELDS, "sig": bytes(64), **change})
    cid = Cid.of_dag_cbor(block)
    with pytest.raises(InvalidRepo) as refused:
        read_commit(cid, MemoryBlocks({cid: block}))
    assert refused.value.cid in (cid, change.get("data"))
    assert str(refused.value.cid) in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_commit_that_is_missing_is_refused_by_its_cid() -> None:
    with pytest.raises(InvalidRepo, match=f"{DATA} is missing"):
        read_commit(DATA, MemoryBlocks({}))


def test_a_commit_has_one_name() -> None:
    raw = Cid.of_raw(SIGNED.block)
    with pytest.raises(InvalidRepo, match=str(raw)):
        read_commit(raw, MemoryBlocks({raw: SIGNED.block}))


def test_a_key_has_a_collection_and_an_rkey() -> None:
    assert split_key("com.example.x/a:b") == ("com.example.x", "a:b")
    for key in (
        "",
        "com.example.x",
        "com.example.x/",
        "x/a",
        "com.example.x/..",
        "com.example.x/a/b",
    ):
        with pytest.raises(InvalidSyntax):
            split_key(key)
