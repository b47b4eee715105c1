"""However a stranger fills a record or a repository: no step of the event loop takes long.

Measured is the processor time of each step. What threads do beside it is in `repo.piecewise`.
"""

from __future__ import annotations

import asyncio
import gzip

import pytest

from actor_store.transactor import ActorStoreTransactor
from repo.cid import Cid
from tests.hostile_values import BODY_BYTES, KINDS, assert_short, hostile_block, hostile_json
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Account, Pds

COLLECTION = "com.example.hostile"
REV = "3aaaaaaaaaaaa"
NOW = "2026-01-01T00:00:00.000Z"
LIKED = "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/3aaaaaaaaaaaa"
MANY = 100_000
"""Of rows, which took a tenth of a second to read on the event loop."""


async def raw(
    pds: Pds, method: str, nsid: str, query: str = "", *, data: bytes = b"", auth: Account
) -> tuple[int, bytes]:
    """Call a method with as little work on the client's side as can be, for it is in this loop."""
    url = f"{pds.url}/xrpc/{nsid}?{query}"
    headers = {**auth.auth, "Content-Type": "application/json"} if data else auth.auth
    async with pds.http.request(method, url, data=data or None, headers=headers) as response:
        return response.status, await response.read()


async def write(pds: Pds, account: Account, method: str, body: bytes) -> tuple[int, bytes]:
    nsid = f"com.atproto.repo.{method}"
    with loop_blocks() as blocks:
        answer = await raw(pds, "POST", nsid, data=body, auth=account)
    assert_short(blocks)
    return answer


def create(account: Account, record: bytes, collection: str = COLLECTION) -> bytes:
    return b'{"repo":"%b","collection":"%b","record":%b}' % (
        account.did.encode(),
        collection.encode(),
        record,
    )


async def put_blocks(pds: Pds, account: Account, blocks: list[bytes]) -> list[Cid]:
    """Store records as an import leaves them."""
    cids = [Cid.of_dag_cbor(block) for block in blocks]
    await pds.ctx.actor_store.transact(
        account.did,
        lambda actor: actor.repo.put_blocks(zip(cids, blocks, strict=True), REV),
    )
    return cids


async def index(pds: Pds, account: Account, cids: list[Cid]) -> None:
    def enter(actor: ActorStoreTransactor) -> None:
        for number, cid in enumerate(cids):
            actor.record.index(COLLECTION, f"{number:06}", cid=cid, rev=REV, indexed_at=NOW)

    await pds.ctx.actor_store.transact(account.did, enter)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "blobs"])
async def test_a_hostile_record_is_written_and_read_without_holding_the_loop(
    pds: Pds, alice: Account, kind: str
) -> None:
    record = b'{"x":%b}' % hostile_json(kind)
    status, answer = await write(pds, alice, "createRecord", create(alice, record))
    assert status == 200, answer[:200]
    with loop_blocks() as blocks:
        status, answer = await raw(
            pds,
            "GET",
            "com.atproto.repo.listRecords",
            f"repo={alice.did}&collection={COLLECTION}",
            auth=alice,
        )
    assert_short(blocks)
    assert status == 200
    assert hostile_json(kind) in answer


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (b'{"x":%b}' % (b"[" * BODY_BYTES), b"depth limit exceeded"),
        (b'{"x":%b%b}' % (b"[" * 1000, b"]" * 1000), b"Nested deeper than 128 levels"),
        (b'{"x":[%b1.5]}' % (b"[]," * 300_000), b"Expected one of null"),
        (b'{"x":%b}' % hostile_json("blobs"), b"Could not find blob"),
    ],
    ids=["open", "too-deep", "float-at-the-end", "blobs"],
)
async def test_a_hostile_record_is_refused_without_holding_the_loop(
    pds: Pds, alice: Account, record: bytes, message: bytes
) -> None:
    status, answer = await write(pds, alice, "createRecord", create(alice, record))
    assert status == 400
    assert message in answer


async def test_a_post_of_thousands_of_facets_is_validated_without_holding_the_loop(
    pds: Pds, alice: Account
) -> None:
    facet = (
        b'{"index":{"byteStart":0,"byteEnd":1},'
        b'"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"a"}]}'
    )
    post = (
        b'{"$type":"app.bsky.feed.post","createdAt":"2026-01-01T00:00:00Z","text":"a","facets":[%b]}'
        % b",".join([facet] * 9000)
    )
    status, answer = await write(
        pds, alice, "createRecord", create(alice, post, "app.bsky.feed.post")
    )
    assert status == 200, answer[:200]


async def test_two_hundred_writes_in_a_full_body_do_not_hold_the_loop(
    pds: Pds, alice: Account
) -> None:
    value = hostile_json("lists", BODY_BYTES // 200 - 150)
    writes = b",".join(
        b'{"$type":"com.atproto.repo.applyWrites#create","collection":"%b","value":{"x":%b}}'
        % (COLLECTION.encode(), value)
        for _ in range(200)
    )
    body = b'{"repo":"%b","writes":[%b]}' % (alice.did.encode(), writes)
    status, answer = await write(pds, alice, "applyWrites", body)
    assert status == 200, answer[:200]


async def test_preferences_as_large_as_they_may_be_do_not_hold_the_loop(
    pds: Pds, alice: Account
) -> None:
    preference = b'{"$type":"app.bsky.a","x":%b}' % hostile_json("lists", 1000)
    body = b'{"preferences":[%b]}' % b",".join([preference] * 140)
    with loop_blocks() as blocks:
        put = await raw(pds, "POST", "app.bsky.actor.putPreferences", data=body, auth=alice)
        got = await raw(pds, "GET", "app.bsky.actor.getPreferences", auth=alice)
    assert_short(blocks)
    assert (put[0], got[0]) == (200, 200)


async def test_pages_of_hostile_records_for_many_clients_do_not_hold_the_loop(
    pds: Pds, alice: Account
) -> None:
    cids = await put_blocks(pds, alice, [hostile_block("lists", COLLECTION, 300_000)])
    await index(pds, alice, cids * 20)
    query = f"repo={alice.did}&collection={COLLECTION}&limit=100"
    with loop_blocks() as blocks:
        answers = await asyncio.gather(
            *(raw(pds, "GET", "com.atproto.repo.listRecords", query, auth=alice) for _ in range(3))
        )
    assert_short(blocks)
    assert {status for status, _ in answers} == {200}


async def test_blocks_of_many_megabytes_are_sent_without_holding_the_loop(
    pds: Pds, alice: Account
) -> None:
    blocks_ = [hostile_block("controls", f"{COLLECTION}{number}") for number in range(50)]
    cids = await put_blocks(pds, alice, blocks_)
    query = f"did={alice.did}" + "".join(f"&cids={cid}" for cid in cids)
    with loop_blocks() as blocks:
        status, car = await raw(pds, "GET", "com.atproto.sync.getBlocks", query, auth=alice)
    assert_short(blocks)
    assert status == 200
    assert len(car) > sum(map(len, blocks_))


async def test_a_repository_of_very_many_collections_and_links_does_not_hold_the_loop(
    pds: Pds, alice: Account
) -> None:
    # The rows alone, as importing them takes a minute.
    db = pds.ctx.actor_store.open_stores.get(alice.did).db
    cid = str(Cid.of_raw(b"blob"))
    uris = [f"at://{alice.did}/{COLLECTION}.c{number}/a" for number in range(MANY)]
    with db.transaction():
        db.many(
            "INSERT INTO record (uri, cid, collection, rkey, repoRev, indexedAt)"
            " VALUES (?, ?, ?, 'a', ?, ?)",
            [(uri, cid, uri.split("/")[3], REV, NOW) for uri in uris],
        )
        db.many("INSERT INTO record_blob VALUES (?, ?)", [(cid, uri) for uri in uris])
        db.many("INSERT INTO backlink VALUES (?, 'subject.uri', ?)", [(uri, LIKED) for uri in uris])
    like = b'{"$type":"app.bsky.feed.like","createdAt":"%b","subject":{"uri":"%b","cid":"%b"}}' % (
        NOW.encode(),
        LIKED.encode(),
        cid.encode(),
    )
    body = create(alice, like, "app.bsky.feed.like")
    with loop_blocks() as blocks:
        described = await raw(
            pds, "GET", "com.atproto.repo.describeRepo", f"repo={alice.did}", auth=alice
        )
        for query in (f"did={alice.did}", f"did={alice.did}&since=3zzzzzzzzzzzz"):
            assert (await raw(pds, "GET", "com.atproto.sync.listBlobs", query, auth=alice))[
                0
            ] == 200
        missing = await raw(pds, "GET", "com.atproto.repo.listMissingBlobs", auth=alice)
        liked = await raw(pds, "POST", "com.atproto.repo.createRecord", data=body, auth=alice)
    assert_short(blocks)
    assert (described[0], missing[0], liked[0]) == (200, 200, 200)
    assert described[1].count(COLLECTION.encode()) == MANY


async def test_a_body_of_thousands_of_empty_gzip_members_does_not_hold_the_loop(
    pds: Pds, alice: Account
) -> None:
    packed = gzip.compress(b"", mtime=0) * 40_000
    url = f"{pds.url}/xrpc/com.atproto.repo.createRecord"
    headers = {**alice.auth, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    with loop_blocks() as blocks:
        async with pds.http.post(url, data=packed, headers=headers) as response:
            assert response.status == 400
    assert_short(blocks)
