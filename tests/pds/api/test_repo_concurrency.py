"""Many writers at once: every request succeeds or fails cleanly, and all accounts agree."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from tests.pds.api.exports import export, list_all, signing_key
from tests.pds.api.firehose import Mirror, subscribed
from tests.pds.conftest import Account, Pds, Reply

NOTE = "com.example.note"
APPLY = "com.atproto.repo.applyWrites"


async def check_everything(pds: Pds, *accounts: Account) -> dict[str, Mirror]:
    """Export, listing, head, and the events of a late and thorough consumer must all agree."""
    mirrors = {a.did: Mirror(await signing_key(pds, a.did)) for a in accounts}
    async with subscribed(pds, 0) as consumer:
        messages = await consumer.until(pds.ctx.sequencer.current_seq)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    for message in messages:
        mirrors[message.body.get("repo") or message.body["did"]].follow(message)
    for account in accounts:
        exported = await export(pds, account.did)
        mirrors[account.did].check(exported)
        described = await pds.get("com.atproto.repo.describeRepo", repo=account.did)
        listed: dict[str, Any] = {}
        for collection in described.json["collections"]:
            listed |= await list_all(pds, account.did, collection, limit=37)
        assert listed == exported.records
        latest = await pds.get("com.atproto.sync.getLatestCommit", did=account.did)
        assert latest.json == {"cid": str(exported.head), "rev": exported.commit.rev}
        by_did = {
            repo["did"]: repo
            for repo in (await pds.get("com.atproto.sync.listRepos")).json["repos"]
        }
        assert by_did[account.did]["rev"] == exported.commit.rev
        assert by_did[account.did]["head"] == str(exported.head)
    return mirrors


async def head_of(pds: Pds, account: Account) -> str:
    return str((await pds.get("com.atproto.sync.getLatestCommit", did=account.did)).json["cid"])


def write(action: str, rkey: str, value: object | None = None) -> dict[str, Any]:
    body = {"$type": f"{APPLY}#{action}", "collection": NOTE, "rkey": rkey}
    return body if value is None else {**body, "value": value}


async def random_request(
    pds: Pds, account: Account, chance: random.Random, head: str | None
) -> Reply:
    """One write of a random kind to one of a few records; often it cannot succeed."""
    repo: dict[str, Any] = {"repo": account.did}
    if head is not None:
        repo["swapCommit"] = head
    rkey = f"r{chance.randrange(12)}"
    value = {"n": chance.randrange(10**9)}
    one = {**repo, "collection": NOTE, "rkey": rkey}
    match chance.randrange(4):
        case 0:
            return await pds.post(
                "com.atproto.repo.createRecord", {**one, "record": value}, account.auth
            )
        case 1:
            return await pds.post(
                "com.atproto.repo.putRecord", {**one, "record": value}, account.auth
            )
        case 2:
            return await pds.post("com.atproto.repo.deleteRecord", one, account.auth)
        case _:
            rkeys = chance.sample(range(12), 3)
            writes = [
                write("create", f"r{rkeys[0]}", value),
                write("update", f"r{rkeys[1]}", value),
                write("delete", f"r{rkeys[2]}"),
            ]
            writes = chance.sample(writes, chance.randrange(4))
            return await pds.post(APPLY, {**repo, "writes": writes}, account.auth)


async def test_creates_at_once_all_succeed_in_one_chain_of_commits(
    pds: Pds, alice: Account
) -> None:
    created = await asyncio.gather(*(pds.post_text(alice, f"post {n}") for n in range(120)))
    assert len({record["uri"] for record in created}) == 120
    revs = [record["commit"]["rev"] for record in created]
    assert len(set(revs)) == 120
    mirrors = await check_everything(pds, alice)
    assert len(mirrors[alice.did].records) == 120
    assert mirrors[alice.did].commits == 121


@pytest.mark.parametrize("seed", range(3))
async def test_mixed_writers_of_several_repos_fail_cleanly_or_succeed(pds: Pds, seed: int) -> None:
    accounts = [await pds.create_account() for _ in range(3)]
    commits: Counter[str] = Counter()
    refusals: Counter[tuple[int, str]] = Counter()

    async def writer(number: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        for _ in range(25):
            account = chance.choice(accounts)
            head = await head_of(pds, account) if chance.random() < 0.4 else None
            reply = await random_request(pds, account, chance, head)
            if reply.status == 200:
                commits[account.did] += "commit" in reply.json
            else:
                refusals[reply.error] += 1

    await asyncio.gather(*(writer(number) for number in range(12)))
    assert refusals.keys() <= {
        (400, "InvalidSwap"),
        (400, "RecordAlreadyExists"),
        (400, "RecordNotFound"),
    }
    mirrors = await check_everything(pds, *accounts)
    # Every answered commit is in the log, none is there twice, none that was refused.
    assert {did: mirror.commits - 1 for did, mirror in mirrors.items()} == dict(commits)


async def test_of_writers_with_the_same_swap_commit_one_wins(pds: Pds, alice: Account) -> None:
    head = await head_of(pds, alice)
    replies = await asyncio.gather(
        *(
            pds.post(
                "com.atproto.repo.createRecord",
                {"repo": alice.did, "collection": NOTE, "record": {"n": n}, "swapCommit": head},
                alice.auth,
            )
            for n in range(20)
        )
    )
    assert sorted(reply.status for reply in replies) == [200] + [400] * 19
    assert {reply.json["error"] for reply in replies if reply.status == 400} == {"InvalidSwap"}
    await check_everything(pds, alice)


async def test_of_writers_that_replace_the_same_version_one_wins(pds: Pds, alice: Account) -> None:
    body = {"repo": alice.did, "collection": NOTE, "rkey": "one"}
    first = await pds.post(
        "com.atproto.repo.putRecord", {**body, "record": {"n": 0}, "swapRecord": None}, alice.auth
    )
    replies = await asyncio.gather(
        *(
            pds.post(
                "com.atproto.repo.putRecord",
                {**body, "record": {"n": n}, "swapRecord": first.json["cid"]},
                alice.auth,
            )
            for n in range(1, 21)
        )
    )
    winners = [reply.json["cid"] for reply in replies if reply.status == 200]
    assert len(winners) == 1
    assert {reply.error for reply in replies if reply.status != 200} == {(400, "InvalidSwap")}
    record = await pds.get(
        "com.atproto.repo.getRecord", repo=alice.did, collection=NOTE, rkey="one"
    )
    assert record.json["cid"] == winners[0]
    await check_everything(pds, alice)


async def test_follows_at_once_leave_one(pds: Pds, alice: Account, bob: Account) -> None:
    record = {
        "$type": "app.bsky.graph.follow",
        "subject": bob.did,
        "createdAt": "2026-01-01T00:00:00.000Z",
    }
    await asyncio.gather(
        *(pds.create_record(alice, "app.bsky.graph.follow", record) for _ in range(15))
    )
    mirrors = await check_everything(pds, alice, bob)
    assert len(mirrors[alice.did].records) == 1


async def test_one_blob_referred_to_and_dropped_by_many_at_once(pds: Pds, alice: Account) -> None:
    uploads = [await pds.upload(alice, b"blob %d" % n, "text/plain") for n in range(3)]
    blobs = [reply.json["blob"] for reply in uploads]
    body = {"repo": alice.did, "collection": NOTE}

    async def writer(number: int) -> None:
        chance = random.Random(number)
        for _ in range(12):
            blob = chance.choice(blobs)
            one = {**body, "rkey": f"r{chance.randrange(6)}"}
            if chance.random() < 0.5:
                record = {"n": chance.random() < 0.5, "blob": blob}
                reply = await pds.post(
                    "com.atproto.repo.putRecord", {**one, "record": record}, alice.auth
                )
            else:
                reply = await pds.post("com.atproto.repo.deleteRecord", one, alice.auth)
            if reply.status == 400:
                # The last record with it is gone, and with that the blob: upload it again.
                assert reply.json["error"] == "BlobNotFound"
                number = blobs.index(blob)
                assert (await pds.upload(alice, b"blob %d" % number, "text/plain")).status == 200

    await asyncio.gather(*(writer(number) for number in range(8)))
    await pds.ctx.actor_store.blob_files.settle()
    exported = await export(pds, alice.did)
    used = {exported.value(path)["blob"]["ref"] for path in exported.records}
    listed = await pds.get("com.atproto.sync.listBlobs", did=alice.did)
    assert set(listed.json["cids"]) == {str(cid) for cid in used}
    for number, blob in enumerate(blobs):
        cid = blob["ref"]["$link"]
        reply = await pds.get("com.atproto.sync.getBlob", did=alice.did, cid=cid)
        if cid in listed.json["cids"]:
            assert reply.body == b"blob %d" % number
        else:
            assert reply.error == (400, "InvalidRequest")
    await check_everything(pds, alice)
