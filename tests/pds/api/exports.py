"""A repository as the network sees it: the CAR of getRepo, checked block by block."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from database.errors import DatabaseError
from repo import dagcbor
from repo.car import CarReader
from repo.cid import Cid
from repo.commit import Commit, decode_commit
from repo.keys import PublicKey, parse_did_key
from repo.mst import MemoryBlocks, Mst
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.repo.sound_tree import verify_structure


@dataclass(slots=True, frozen=True)
class Export:
    """A checked CAR: its commit, its records by MST key, all of its blocks."""

    head: Cid
    commit: Commit
    records: Mapping[str, Cid]
    blocks: Mapping[Cid, bytes]

    def value(self, path: str) -> Any:
        """The record at an MST key."""
        return dagcbor.decode(self.blocks[self.records[path]])


def read_car(car: bytes) -> tuple[tuple[Cid, ...], dict[Cid, bytes]]:
    """Roots and blocks of a CAR; every block must hash to its CID and come once."""
    reader = CarReader(io.BytesIO(car))
    pairs = list(reader)
    blocks = dict(pairs)
    assert len(blocks) == len(pairs), "a block came twice"
    return reader.roots, blocks


def verify_export(car: bytes, did: str, key: PublicKey) -> Export:
    """Check a whole repository: signature, tree, and that no block is missing or too many."""
    (head,), blocks = read_car(car)
    commit = decode_commit(blocks[head])
    assert commit.did == did
    assert commit.verify(key), "the signature is not of the account's key"
    verify_structure(commit.data, MemoryBlocks(blocks))
    records = dict(Mst.load(commit.data, MemoryBlocks(blocks)).walk())
    assert blocks.keys() == {head, *tree_nodes(commit.data, blocks), *records.values()}
    return Export(head, commit, records, blocks)


def tree_nodes(root: Cid, blocks: Mapping[Cid, bytes]) -> set[Cid]:
    """The CIDs of all nodes below and with `root`."""
    nodes: set[Cid] = set()
    waiting = [root]
    while waiting:
        cid = waiting.pop()
        nodes.add(cid)
        node: Any = dagcbor.decode(blocks[cid])
        waiting.extend(link for link in (node["l"], *(e["t"] for e in node["e"])) if link)
    return nodes


async def signing_key(pds: Pds, did: str) -> PublicKey:
    """The key that the account's DID document names."""
    key = (await pds.ctx.did_resolver.resolve(Did(did), force=True)).signing_key()
    assert key is not None
    return parse_did_key(key)


async def export(pds: Pds, did: str) -> Export:
    """Fetch a repository and check it."""
    reply = await pds.get("com.atproto.sync.getRepo", did=did)
    assert reply.status == 200, reply.body
    return verify_export(reply.body, did, await signing_key(pds, did))


async def list_all(pds: Pds, did: str, collection: str, limit: int = 100) -> dict[str, Cid]:
    """Every record of a collection by MST key, page by page."""
    found: dict[str, Cid] = {}
    page: dict[str, Any] = {}
    while True:
        reply = await pds.get(
            "com.atproto.repo.listRecords", repo=did, collection=collection, limit=limit, **page
        )
        assert reply.status == 200, reply.body
        for record in reply.json["records"]:
            path = record["uri"].removeprefix(f"at://{did}/")
            assert path not in found, "a record came twice"
            found[path] = Cid.parse(record["cid"])
        if "cursor" not in reply.json:
            return found
        page = {"cursor": reply.json["cursor"]}


@asynccontextmanager
async def nothing_changes(pds: Pds, *accounts: Account) -> AsyncIterator[None]:
    """Check that a block of requests leaves repositories and the event log as they were."""

    async def state() -> list[Any]:
        return [
            pds.ctx.sequencer.current_seq,
            *[
                await pds.ctx.actor_store.read(
                    account.did,
                    lambda actor: (
                        actor.repo.head(),
                        actor.repo.block_count(),
                        actor.record.count(),
                        actor.blob.count_referenced(),
                    ),
                )
                for account in accounts
            ],
        ]

    before = await state()
    yield
    with suppress(DatabaseError):
        await pds.ctx.sequencer.append()
    assert await state() == before
