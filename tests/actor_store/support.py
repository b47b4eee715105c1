"""Records, writes and full checks of a store, for the tests of the actor store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest

from actor_store.backlinks import backlinks_of
from actor_store.reader import ActorStoreReader
from actor_store.store import ActorStore
from actor_store.writes import PreparedWrite
from repo import dagcbor
from repo.cid import Cid
from repo.commit import Action, CommitData, decode_commit
from repo.datamodel import BlobRef, iter_blob_refs
from repo.mst import Mst
from tests.repo.sound_tree import verify_structure

DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
OTHER_DID = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
POST = "app.bsky.feed.post"


def put(
    collection: str, rkey: str, *, action: Action = "create", swap: Any = None, **fields: Any
) -> PreparedWrite:
    """A write of the record `{"$type": collection, **fields}`."""
    value = {"$type": collection, **fields}
    block = dagcbor.encode(value)
    conditions = {} if swap is None else {"swap_record": swap}
    return PreparedWrite(
        action,
        collection,
        rkey,
        Cid.of_dag_cbor(block),
        block,
        blobs=tuple(iter_blob_refs(value)),
        backlinks=backlinks_of(value),
        **conditions,
    )


def post(rkey: str, text: str = "hello", **fields: Any) -> PreparedWrite:
    """The creation of a post."""
    return put(POST, rkey, text=text, **fields)


def edit(rkey: str, text: str, **fields: Any) -> PreparedWrite:
    """The update of a post."""
    return put(POST, rkey, action="update", text=text, **fields)


def delete(rkey: str, collection: str = POST) -> PreparedWrite:
    """The deletion of a record."""
    return PreparedWrite("delete", collection, rkey)


async def commit(
    store: ActorStore, did: str, writes: Sequence[PreparedWrite], *, swap_commit: Cid | None = None
) -> CommitData:
    """Commit writes that change something."""
    blobs = [blob for write in writes for blob in write.blobs]
    data = await store.commit(did, lambda _: writes, blobs=blobs, swap_commit=swap_commit)
    assert data is not None
    return data


def blob_value(ref: BlobRef) -> dict[str, Any]:
    """A blob reference as it appears in a record."""
    return {"$type": "blob", "ref": ref.cid, "mimeType": ref.mime_type, "size": ref.size}


def contents(actor: ActorStoreReader) -> dict[str, Cid]:
    """The records by MST key, after checking that blocks, tree and index agree exactly."""
    head = actor.repo.head()
    commit = decode_commit(actor.repo.get_block(head.cid))
    verify_structure(commit.data, actor.repo)
    # A cache of its own: the tree must be in the store, not only in memory.
    tree = Mst.load(commit.data, actor.repo)
    records = dict(tree.walk())
    db = actor.repo._db
    indexed = {
        f"{collection}/{rkey}": Cid.parse(cid)
        for collection, rkey, cid in db.all("SELECT collection, rkey, cid FROM record")
    }
    assert indexed == records
    reachable = {head.cid, *tree_nodes(actor, commit.data), *records.values()}
    stored = {
        Cid.parse(text): block for text, block in db.iter("SELECT cid, content FROM repo_block")
    }
    assert stored.keys() == reachable
    assert all(cid == Cid.of_dag_cbor(block) for cid, block in stored.items())
    assert commit.did == actor.did
    return records


def tree_nodes(actor: ActorStoreReader, root: Cid) -> set[Cid]:
    """The CIDs of the nodes of a stored tree."""
    nodes: set[Cid] = set()
    stack = [root]
    while stack:
        cid = stack.pop()
        nodes.add(cid)
        node: Any = dagcbor.decode(actor.repo.get_block(cid))
        stack.extend(link for link in (node["l"], *(e["t"] for e in node["e"])) if link)
    return nodes


def in_one_step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that must not suspend, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stopped:
        return stopped.value
    coroutine.close()
    pytest.fail("the coroutine suspended")


async def collect(parts: AsyncIterator[bytes]) -> bytes:
    """Join a stream."""
    return b"".join([part async for part in parts])
