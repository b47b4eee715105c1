"""com.atproto.sync: repositories, proofs of records, blocks."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import aiohttp
import pytest

from database.opening import open_database
from repo.cid import Cid
from repo.commit import decode_commit
from repo.mst import MemoryBlocks, MissingBlock, Mst
from tests.pds.api.exports import export, read_car, signing_key, verify_export
from tests.pds.api.records import (
    NOBODY,
    NOTE,
    apply,
    create,
    creates,
    delete,
    deletes,
    put,
    sync,
    updates,
)
from tests.pds.conftest import Account, Pds

CAR = "application/vnd.ipld.car"


# --- getRepo ---


async def test_new_repo_is_a_commit_and_an_empty_tree(pds: Pds, alice: Account) -> None:
    reply = await sync(pds, "getRepo", did=alice.did)
    assert reply.headers["Content-Type"] == CAR
    exported = verify_export(reply.body, alice.did, await signing_key(pds, alice.did))
    assert (len(exported.blocks), exported.records) == (2, {})


async def test_large_repo_comes_whole_in_every_encoding(pds: Pds, alice: Account) -> None:
    for batch in range(5):
        values = (creates({"x": f"{batch}/{n}" * 200}, f"r{batch}x{n}") for n in range(100))
        await apply(pds, alice, *values)
    plain = await sync(pds, "getRepo", {"Accept-Encoding": "identity"}, did=alice.did)
    assert len(plain.body) > 400_000
    exported = verify_export(plain.body, alice.did, await signing_key(pds, alice.did))
    assert len(exported.records) == 500
    zipped = await sync(pds, "getRepo", {"Accept-Encoding": "gzip"}, did=alice.did)
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.body == plain.body
    checkout = await sync(pds, "getCheckout", did=alice.did)
    assert checkout.body == plain.body
    head = await pds.request("HEAD", f"/xrpc/com.atproto.sync.getRepo?did={alice.did}")
    assert (head.status, head.body, head.headers["Content-Type"]) == (200, b"", CAR)


async def test_since_gives_the_blocks_written_after_it(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(50)))
    old = await export(pds, alice.did)
    await apply(pds, alice, updates("r1", {"n": -1}), deletes("r2"), creates({"n": 99}, "new"))
    await create(pds, alice, {"n": 100}, rkey="newer")
    new = await export(pds, alice.did)
    reply = await sync(pds, "getRepo", did=alice.did, since=old.commit.rev)
    roots, blocks = read_car(reply.body)
    assert roots == (new.head,)
    # No more than what is new, and all of that.
    assert set(blocks) == set(new.blocks) - set(old.blocks)
    assert len(blocks) < len(new.blocks)


async def test_since_the_head_gives_no_blocks(pds: Pds, alice: Account) -> None:
    head = (await create(pds, alice, {"n": 1})).json["commit"]
    for since in (head["rev"], "7777777777777"[:12] + "a"):
        reply = await sync(pds, "getRepo", did=alice.did, since=since)
        roots, blocks = read_car(reply.body)
        assert ([str(root) for root in roots], blocks) == ([head["cid"]], {})


async def test_since_before_the_first_commit_gives_all(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1})
    everything = await sync(pds, "getRepo", did=alice.did)
    reply = await sync(pds, "getRepo", did=alice.did, since="2222222222222")
    assert reply.body == everything.body


async def test_newest_blocks_come_first(pds: Pds, alice: Account) -> None:
    cids = [(await create(pds, alice, {"n": n})).json["cid"] for n in range(5)]
    _, blocks = read_car((await sync(pds, "getRepo", did=alice.did)).body)
    order = [str(cid) for cid in blocks]
    assert [cid for cid in order if cid in cids] == cids[::-1]


async def test_repo_that_is_written_meanwhile_is_one_state(pds: Pds, alice: Account) -> None:
    for batch in range(8):
        await apply(pds, alice, *(creates({"x": "y" * 900}, f"b{batch}r{n}") for n in range(200)))
    key = await signing_key(pds, alice.did)
    url = f"{pds.url}/xrpc/com.atproto.sync.getRepo"
    async with pds.http.get(url, params={"did": alice.did}) as response:
        body = await response.content.readany()
        # While the reader holds still, half of the records go and others come.
        for batch in range(4):
            await apply(pds, alice, *(deletes(f"b{batch}r{n}") for n in range(200)))
            await create(pds, alice, {"n": batch})
        body += await response.read()
    assert len(verify_export(body, alice.did, key).records) == 1600
    assert len((await export(pds, alice.did)).records) == 804


async def test_readers_that_leave_hold_nothing_up(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, *(creates({"x": "y" * 4000}, f"r{n}") for n in range(200)))
    url = f"{pds.url}/xrpc/com.atproto.sync.getRepo?did={alice.did}"
    # More of them than there are threads to read for them.
    for _ in range(20):
        async with pds.http.get(url) as response:
            await response.content.readany()
            response.close()
    assert len((await export(pds, alice.did)).records) == 200


async def test_readers_that_stall_hold_nobody_else_up(pds: Pds, alice: Account) -> None:
    for batch in range(4):
        await apply(pds, alice, *(creates({"x": "y" * 4000}, f"b{batch}r{n}") for n in range(200)))
    url = f"{pds.url}/xrpc/com.atproto.sync.getRepo?did={alice.did}"
    async with aiohttp.ClientSession(read_bufsize=1024) as http:
        stalled = [await http.get(url) for _ in range(12)]
        async with asyncio.timeout(20):
            assert len((await export(pds, alice.did)).records) == 800
            assert (await put(pds, alice, "one", {"n": 1})).status == 200
        for response in stalled:
            response.close()


# --- damage ---


def damage(pds: Pds, account: Account, mark: bytes) -> None:
    """Overwrite the page in the middle of a record that consists of `mark`."""
    path = next(Path(pds.ctx.settings.actors_directory).glob(f"*/{account.did}/store.sqlite"))
    db = open_database(path)
    db.checkpoint()
    page_bytes = int(db.value("PRAGMA page_size"))
    db.close()
    data = path.read_bytes()
    # Each page of a long value begins with the number of the next.
    run = mark * (page_bytes - 4)
    first, last = data.index(run), data.rindex(run)
    at = (first + last) // 2 // page_bytes * page_bytes
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * page_bytes)
        os.fsync(file.fileno())


async def test_repo_that_cannot_be_read_is_an_error_not_a_short_file(
    pds: Pds, alice: Account, bob: Account
) -> None:
    for letter in ascii_lowercase:
        await create(pds, alice, {"x": letter * 100_000}, rkey=letter)
    await create(pds, bob, {"n": 1})
    damage(pds, alice, b"a")
    url = f"{pds.url}/xrpc/com.atproto.sync.getRepo?did={alice.did}"
    async with pds.http.get(url) as response:
        # The newest records are sound, so the answer has begun.
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    damage(pds, alice, b"z")
    reply = await sync(pds, "getRepo", did=alice.did)
    assert reply.error == (503, "RepoUnavailable")
    # Everybody else is served.
    assert len((await export(pds, bob.did)).records) == 1


# --- getRecord ---


def proven(car: bytes, path: str, key: Any) -> tuple[Cid | None, dict[Cid, bytes]]:
    """What a proof says is at an MST key, using only the blocks that came with it."""
    (head,), blocks = read_car(car)
    assert next(iter(blocks)) == head
    commit = decode_commit(blocks[head])
    assert commit.verify(key)
    return Mst.load(commit.data, MemoryBlocks(blocks)).get(path), blocks


async def test_record_comes_with_its_proof(pds: Pds, alice: Account) -> None:
    key = await signing_key(pds, alice.did)
    await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(200)))
    exported = await export(pds, alice.did)
    for path in list(exported.records)[::17]:
        collection, rkey = path.split("/")
        reply = await sync(pds, "getRecord", did=alice.did, collection=collection, rkey=rkey)
        assert reply.headers["Content-Type"] == CAR
        cid, blocks = proven(reply.body, path, key)
        assert cid == exported.records[path]
        assert blocks[cid] == exported.blocks[cid]
        assert len(blocks) < 10
        # Without any one of the nodes there would be no proof.
        commit = decode_commit(blocks[exported.head])
        for node in blocks.keys() - {exported.head, cid}:
            rest = MemoryBlocks({k: v for k, v in blocks.items() if k != node})
            with pytest.raises(MissingBlock):
                Mst.load(commit.data, rest).get(path)


async def test_absent_record_comes_with_the_proof_of_that(pds: Pds, alice: Account) -> None:
    key = await signing_key(pds, alice.did)
    params = {"did": alice.did, "collection": NOTE}
    # In an empty tree, and at many places of a full one.
    for count in (0, 200):
        await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(count)))
        for rkey in ("a", "r", "r10x", "r199x", "z", "r55.5"):
            reply = await sync(pds, "getRecord", **params, rkey=rkey)
            assert reply.status == 200
            cid, blocks = proven(reply.body, f"{NOTE}/{rkey}", key)
            assert cid is None
            assert len(blocks) < 10


async def test_deleted_record_is_proven_absent(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    await delete(pds, alice, "one")
    reply = await sync(pds, "getRecord", did=alice.did, collection=NOTE, rkey="one")
    cid, blocks = proven(reply.body, f"{NOTE}/one", await signing_key(pds, alice.did))
    assert cid is None
    assert Cid.parse(created["cid"]) not in blocks


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"collection": NOTE, "rkey": "a"}, 'Missing required key "did"'),
        ({"did": NOBODY, "collection": "x", "rkey": "a"}, 'Invalid NSID (got "x")'),
        ({"did": NOBODY, "collection": NOTE, "rkey": "a/b"}, 'Invalid record key (got "a/b")'),
        ({"did": "alice.test", "collection": NOTE, "rkey": "a"}, 'Invalid DID (got "alice.test")'),
    ],
)
async def test_bad_params_of_get_record(pds: Pds, params: dict[str, str], message: str) -> None:
    reply = await sync(pds, "getRecord", **params)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"Invalid com.atproto.sync.getRecord params: {message}"


# --- getBlocks ---


async def test_blocks_come_once_each_without_roots(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1})
    exported = await export(pds, alice.did)
    cids = [str(cid) for cid in exported.blocks]
    reply = await sync(pds, "getBlocks", did=alice.did, cids=[*cids, *cids])
    assert reply.headers["Content-Type"] == CAR
    roots, blocks = read_car(reply.body)
    assert (roots, blocks) == ((), exported.blocks)


async def test_missing_blocks_are_named(pds: Pds, alice: Account, bob: Account) -> None:
    stored = (await create(pds, alice, {"n": 1})).json["cid"]
    gone = (await put(pds, alice, "one", {"n": 2})).json["cid"]
    await put(pds, alice, "one", {"n": 3})
    foreign = (await create(pds, bob, {"n": 4})).json["cid"]
    reply = await sync(pds, "getBlocks", did=alice.did, cids=[stored, gone, foreign])
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"Could not find cids: {gone}, {foreign}"
    reply = await sync(pds, "getBlocks", did=alice.did, cids=["xx"])
    assert reply.json["message"] == (
        'Invalid com.atproto.sync.getBlocks params: Invalid CID string (got "xx")'
    )
    assert (await sync(pds, "getBlocks", did=alice.did)).error == (400, "InvalidRequest")
