"""Quotas: an account takes no more room than it may, whichever way it tries."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pds.accounts.quotas import Quota
from pds.repos.quotas import UploadRoom, storage_status
from repo.syntax import Did
from tests.pds.api.exports import nothing_changes
from tests.pds.api.records import apply, create, creates, delete, deletes, get, put, updates
from tests.pds.conftest import Account, Pds

EXCEEDED = (400, "QuotaExceeded")
ROOM = 100_000
"""What the account of most tests may take beside what it takes already."""


async def used_by(pds: Pds, account: Account) -> int:
    status = await storage_status(pds.ctx, account.did)
    return int(status["usedBytes"])


async def limit(pds: Pds, account: Account, room: int = ROOM) -> int:
    """Let the account take so many bytes more. Return its quota."""
    quota = await used_by(pds, account) + room
    await pds.ctx.accounts.quotas.set(Did(account.did), Quota(quota))
    return quota


def files_of(pds: Pds) -> list[Path]:
    directory = pds.ctx.settings.blob_directory
    assert directory is not None
    return [path for path in directory.rglob("*") if path.is_file()]


def blob(reply: Any) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json["blob"]
    return found


# --- Records


async def test_records_that_do_not_fit_are_refused_and_change_nothing(
    pds: Pds, alice: Account
) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    quota = await limit(pds, alice)
    used = await used_by(pds, alice)
    async with nothing_changes(pds, alice):
        for reply in (
            await create(pds, alice, {"x": "x" * ROOM}),
            await put(pds, alice, "one", {"x": "x" * ROOM}),
            await put(pds, alice, "new", {"x": "x" * ROOM}),
            await apply(pds, alice, creates({"x": "x" * 60_000}), creates({"x": "y" * 60_000})),
        ):
            assert reply.error == EXCEEDED
            assert f"{used:,} of the {quota:,} bytes" in reply.json["message"]
    assert (await create(pds, alice, {"x": "x" * (ROOM // 2)})).status == 200


async def test_an_account_fills_its_room_and_no_more(pds: Pds, alice: Account) -> None:
    quota = await limit(pds, alice)
    number = 0
    while (reply := await create(pds, alice, {"x": f"{number}" * 5_000})).status == 200:
        number += 1
        assert number < 100
    assert reply.error == EXCEEDED
    used = await used_by(pds, alice)
    # By less than a commit it may be more: the tree grows as well.
    assert quota - 20_000 < used < quota + 20_000


async def test_what_adds_nothing_is_always_allowed(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"x": "x" * 20_000}, rkey="long")
    await create(pds, alice, {"n": 1}, rkey="short")
    await pds.ctx.accounts.quotas.set(Did(alice.did), Quota(0))
    assert (await create(pds, alice, {"n": 2})).error == EXCEEDED
    assert (await put(pds, alice, "short", {"n": 1, "x": "longer"})).error == EXCEEDED
    assert (await put(pds, alice, "long", {"x": "x" * 10_000})).status == 200
    assert (await put(pds, alice, "short", {"n": 2})).status == 200
    reply = await apply(pds, alice, updates("long", {"x": "x" * 5_000}), creates({"n": 3}))
    assert reply.status == 200
    assert (await delete(pds, alice, "long")).status == 200
    assert (await apply(pds, alice, deletes("short"))).status == 200
    assert (await get(pds, alice, "short")).status == 400


async def test_a_second_like_of_one_post_takes_the_place_of_the_first(
    pds: Pds, alice: Account
) -> None:
    post = await pds.post_text(alice)
    record = {
        "$type": "app.bsky.feed.like",
        "subject": {"uri": post["uri"], "cid": post["cid"]},
        "createdAt": "2026-01-01T00:00:00.000Z",
    }
    await pds.create_record(alice, "app.bsky.feed.like", record)
    await pds.ctx.accounts.quotas.set(Did(alice.did), Quota(0))
    second = await pds.create_record(alice, "app.bsky.feed.like", record)
    listed = await pds.get(
        "com.atproto.repo.listRecords", repo=alice.did, collection="app.bsky.feed.like"
    )
    assert [like["uri"] for like in listed.json["records"]] == [second["uri"]]


async def test_writers_that_come_at_once_do_not_pass_the_quota_together(
    pds: Pds, alice: Account
) -> None:
    quota = await limit(pds, alice)
    replies = await asyncio.gather(
        *(create(pds, alice, {"x": f"{number}" * 40_000}) for number in range(10, 20))
    )
    statuses = sorted(reply.status for reply in replies)
    assert statuses == [200] + [400] * 9
    assert await used_by(pds, alice) < quota + 20_000


async def test_one_who_is_full_is_nobody_elses_trouble(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await pds.ctx.accounts.quotas.set(Did(alice.did), Quota(0))
    assert (await create(pds, alice, {"n": 1})).error == EXCEEDED
    assert (await create(pds, bob, {"x": "x" * 200_000})).status == 200


# --- Blobs


async def test_an_upload_that_does_not_fit_is_refused_before_its_bytes_come_in(
    pds: Pds, alice: Account
) -> None:
    quota = await limit(pds, alice)
    used = await used_by(pds, alice)
    reply = await pds.upload(alice, bytes(ROOM + 1))
    assert reply.error == EXCEEDED
    assert reply.json["message"] == (
        f"The account uses {used:,} of the {quota:,} bytes it may use; "
        f"there is no room for {ROOM + 1:,} more"
    )
    assert files_of(pds) == []
    blob(await pds.upload(alice, bytes(ROOM)))


async def test_an_upload_of_unknown_length_ends_where_the_room_does(
    pds: Pds, alice: Account
) -> None:
    await limit(pds, alice)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield bytes(ROOM // 10)

    reply = await pds.request(
        "POST",
        "/xrpc/com.atproto.repo.uploadBlob",
        headers={**alice.auth, "Content-Type": "image/png"},
        data=chunks(),
    )
    assert reply.error == EXCEEDED
    assert files_of(pds) == []
    assert (await used_by(pds, alice)) < ROOM * 10


async def test_what_is_too_large_for_anybody_is_told_as_such(pds: Pds, alice: Account) -> None:
    await limit(pds, alice)
    reply = await pds.request(
        "POST",
        "/xrpc/com.atproto.repo.uploadBlob",
        headers={**alice.auth, "Content-Type": "image/png"},
        data=io.BytesIO(bytes(5_242_881)),
    )
    assert reply.error == (413, "PayloadTooLarge")


async def test_an_upload_that_no_record_refers_to_counts(pds: Pds, alice: Account) -> None:
    await limit(pds, alice)
    blob(await pds.upload(alice, b"a" * 60_000))
    assert (await pds.upload(alice, b"b" * 60_000)).error == EXCEEDED
    # The same bytes once more take no more room, but are not known to be the same before.
    blob(await pds.upload(alice, b"c" * 30_000))
    assert (await create(pds, alice, {"x": "x" * 20_000})).error == EXCEEDED


async def test_room_comes_back_with_the_last_record_of_a_blob(pds: Pds, alice: Account) -> None:
    await limit(pds, alice)
    ref = blob(await pds.upload(alice, b"a" * 60_000))
    await create(pds, alice, {"blob": ref}, rkey="one")
    assert (await pds.upload(alice, b"b" * 60_000)).error == EXCEEDED
    await delete(pds, alice, "one")
    blob(await pds.upload(alice, b"b" * 60_000))


async def test_uploads_at_once_do_not_pass_the_quota_together(pds: Pds, alice: Account) -> None:
    quota = await limit(pds, alice)
    replies = await asyncio.gather(
        *(pds.upload(alice, b"%d" % number * 40_000) for number in range(5))
    )
    assert sorted(reply.status for reply in replies) == [200, 200, 400, 400, 400]
    assert all(reply.error == EXCEEDED for reply in replies if reply.status != 200)
    assert await used_by(pds, alice) <= quota
    assert len(files_of(pds)) == 2


async def test_the_same_upload_twice_at_once_takes_room_once(pds: Pds, alice: Account) -> None:
    await limit(pds, alice)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a" * 60_000

    # Both have begun before either is done.
    rooms = [await UploadRoom.find(pds.ctx, alice.did) for _ in range(2)]
    for room in rooms:
        received = room.metered(chunks())
        temp = await pds.ctx.blob_store.put_temp(alice.did, received, max_bytes=60_000)
        await pds.ctx.actor_store.blob_files.keep_upload(alice.did, temp, mime_type="image/png")
    assert len(files_of(pds)) == 1


# --- Which quota holds


@pytest.fixture
def pds_environ(request: pytest.FixtureRequest) -> dict[str, str]:
    default = getattr(request, "param", None)
    return {} if default is None else {"PDS_ACCOUNT_QUOTA_BYTES": default}


async def test_without_a_quota_there_is_no_limit(pds: Pds, alice: Account) -> None:
    assert (await storage_status(pds.ctx, alice.did))["quotaBytes"] is None
    assert (await create(pds, alice, {"x": "x" * 900_000})).status == 200


@pytest.mark.parametrize("pds_environ", ["300000"], indirect=True)
async def test_the_default_quota_is_everybodys_but_of_those_with_their_own(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await pds.ctx.accounts.quotas.set(Did(bob.did), Quota(None))
    assert (await storage_status(pds.ctx, alice.did))["quotaBytes"] == 300_000
    assert (await storage_status(pds.ctx, bob.did))["quotaBytes"] is None
    record = {"x": "x" * 290_000}
    assert (await create(pds, alice, record)).error == EXCEEDED
    assert (await create(pds, bob, record)).status == 200
    await pds.ctx.accounts.quotas.set(Did(bob.did), None)
    assert (await create(pds, bob, {"n": 1})).error == EXCEEDED


@pytest.mark.parametrize("pds_environ", ["0"], indirect=True)
async def test_a_default_quota_of_nothing_lets_accounts_be_made_and_add_nothing(
    pds: Pds, alice: Account
) -> None:
    assert (await create(pds, alice, {"n": 1})).error == EXCEEDED
    assert (await pds.upload(alice, b"a")).error == EXCEEDED


async def test_an_account_that_is_full_is_told_what_it_uses(pds: Pds, alice: Account) -> None:
    quota = await limit(pds, alice, room=0)
    assert await storage_status(pds.ctx, alice.did) == {"usedBytes": quota, "quotaBytes": quota}
