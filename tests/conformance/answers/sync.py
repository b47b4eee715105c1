"""com.atproto.sync: heads, exports, blocks, proofs, lists."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

NOTE = "com.example.note"
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
NO_BLOCK = "bafyreicraprx2xwnico4tuqir3ozsxpz46qkcpox3obf5bagicqwurghpy"
NO_BLOB = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
METHODS = ("getLatestCommit", "getHead", "getRepoStatus", "getRepo", "getCheckout", "listBlobs")


def _sync(name: str, method: str, **params: Any) -> Case:
    return query(name, f"com.atproto.sync.{method}", **params)


def _of_each_kind(method: str) -> tuple[Case, ...]:
    return (
        _sync(method, method, did="<ann>"),
        _sync(f"{method} of a stranger", method, did=STRANGER),
        _sync(f"{method} of no DID", method, did="xx"),
        _sync(f"{method} of nobody", method),
    )


TOPIC = Topic(
    "sync",
    ("ann",),
    (
        call(
            "create",
            "com.atproto.repo.createRecord",
            {"repo": "<ann>", "collection": NOTE, "rkey": "one", "record": {"n": 1}},
            "ann",
            keep={"record": ("cid",)},
        ),
        *(case for method in METHODS for case in _of_each_kind(method)),
        _sync("a proof", "getRecord", did="<ann>", collection=NOTE, rkey="one"),
        _sync("a proof of absence", "getRecord", did="<ann>", collection=NOTE, rkey="nope"),
        _sync("a proof of a stranger", "getRecord", did=STRANGER, collection=NOTE, rkey="one"),
        _sync("an export since no rev", "getRepo", did="<ann>", since="xx"),
        _sync("an export since the beginning", "getRepo", did="<ann>", since="2222222222222"),
        _sync("blocks", "getBlocks", did="<ann>", cids="<record>"),
        _sync("blocks that are not there", "getBlocks", did="<ann>", cids=NO_BLOCK),
        _sync("blocks without CIDs", "getBlocks", did="<ann>"),
        _sync("blocks of no CID", "getBlocks", did="<ann>", cids="xx"),
        _sync("a blob that is not there", "getBlob", did="<ann>", cid=NO_BLOB),
        _sync("a blob of no CID", "getBlob", did="<ann>", cid="zz"),
        _sync("blobs since no rev", "listBlobs", did="<ann>", since="xx"),
        _sync("no repositories", "listRepos", limit=0),
        _sync("a cursor that is none", "listRepos", cursor="zz"),
    ),
)
