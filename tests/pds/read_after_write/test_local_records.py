"""Which records of an account its AppView has not seen."""

from __future__ import annotations

from typing import Any

from database.timestamps import epoch_ms_of
from pds.read_after_write.local_records import MAX_RECORDS, LocalRecords, find_local_records
from tests.pds.api.imports import Repo, import_car
from tests.pds.api.records import (
    POST,
    PROFILE,
    apply,
    create,
    creates,
    delete,
    like,
    moderate,
    post,
    put,
    updates,
)
from tests.pds.conftest import Account, Pds
from tests.repo.odd_records import ODD


async def first_rev(pds: Pds, account: Account) -> str:
    """Write a post, which an AppView has seen, and return its rev."""
    rev: str = (await pds.post_text(account, "seen"))["commit"]["rev"]
    return rev


async def unseen(pds: Pds, account: Account, rev: str) -> LocalRecords | None:
    return await pds.ctx.actor_store.read(
        account.did, lambda actor: find_local_records(actor, rev, pds.ctx.lexicons)
    )


def texts(local: LocalRecords | None) -> list[str]:
    assert local is not None
    return [one.value["text"] for one in local.posts]


async def test_nothing_is_new_at_the_last_rev_or_beyond(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    assert await unseen(pds, alice, rev) is None
    assert await unseen(pds, alice, "zzzzzzzzzzzzz") is None


async def test_posts_come_oldest_first(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    written = [await pds.post_text(alice, text) for text in ("one", "two")]
    local = await unseen(pds, alice, rev)
    assert local is not None
    assert [(one.uri, one.cid) for one in local.posts] == [
        (one["uri"], one["cid"]) for one in written
    ]
    assert (local.new_profile, local.profile) == (None, None)


async def test_posts_of_one_commit_come_in_its_order(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    writes = [creates(post(text), collection=POST) for text in ("one", "two", "three")]
    assert (await apply(pds, alice, *writes)).status == 200
    assert texts(await unseen(pds, alice, rev)) == ["one", "two", "three"]


async def test_profile_is_known_by_its_age(pds: Pds, alice: Account) -> None:
    await put(pds, alice, "self", {"$type": PROFILE, "displayName": "old"}, PROFILE)
    rev = await first_rev(pds, alice)
    await pds.post_text(alice)
    local = await unseen(pds, alice, rev)
    assert local is not None
    assert local.new_profile is None
    assert local.profile == {"$type": PROFILE, "displayName": "old"}
    await put(pds, alice, "self", {"$type": PROFILE, "displayName": "new"}, PROFILE)
    local = await unseen(pds, alice, rev)
    assert local is not None
    assert local.new_profile is not None
    assert local.new_profile.value == local.profile == {"$type": PROFILE, "displayName": "new"}


async def test_other_records_matter_to_no_answer(pds: Pds, alice: Account) -> None:
    written = await pds.post_text(alice)
    record = like(written["uri"], written["cid"])
    assert (await create(pds, alice, record, "app.bsky.feed.like")).status == 200
    assert (await create(pds, alice, {}, "app.bsky.feed.postgatex", rkey="self")).status == 200
    assert await unseen(pds, alice, written["commit"]["rev"]) is None


async def test_deleted_post_is_not_new(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    rkey = (await pds.post_text(alice))["uri"].rpartition("/")[2]
    assert (await delete(pds, alice, rkey, POST)).status == 200
    assert await unseen(pds, alice, rev) is None


async def test_taken_down_post_stays_hidden(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    hidden = await pds.post_text(alice, "hidden")
    await pds.post_text(alice, "shown")
    subject = {"$type": "com.atproto.repo.strongRef", "uri": hidden["uri"], "cid": hidden["cid"]}
    await moderate(pds, subject, takedown=True)
    assert texts(await unseen(pds, alice, rev)) == ["shown"]


async def test_records_that_break_their_lexicon_are_left_out(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    broken: list[dict[str, Any]] = [{"embed": 5}, {"text": 1}, {"reply": {}}]
    for number, bad in enumerate(broken):
        record = {**post(f"bad {number}"), **bad}
        assert (await create(pds, alice, record, POST, validate=False)).status == 200
    bad_profile = {"$type": PROFILE, "displayName": 5}
    assert (await put(pds, alice, "self", bad_profile, PROFILE, validate=False)).status == 200
    assert await unseen(pds, alice, rev) is None
    await pds.post_text(alice, "good")
    local = await unseen(pds, alice, rev)
    assert texts(local) == ["good"]
    assert local is not None
    assert (local.new_profile, local.profile) == (None, bad_profile)


async def test_rev_before_all_records_is_of_another_repository(pds: Pds, alice: Account) -> None:
    await pds.post_text(alice)
    assert await unseen(pds, alice, "2222222222222") is None


async def test_ten_records_are_looked_at_of_whatever_kind(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    writes: list[dict[str, Any]] = [creates({}) for _ in range(MAX_RECORDS - 1)]
    writes += [creates(post(text), collection=POST) for text in ("tenth", "eleventh")]
    assert (await apply(pds, alice, *writes)).status == 200
    assert texts(await unseen(pds, alice, rev)) == ["tenth"]


async def test_records_that_would_take_long_to_read_are_left_out(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    large = {**post("large"), "tags": ["x"], "more": "y" * 70_000}
    writes = [creates(one, collection=POST) for one in (large, post("small"))]
    assert (await apply(pds, alice, *writes)).status == 200
    assert texts(await unseen(pds, alice, rev)) == ["small"]


async def test_lag_is_the_age_of_the_oldest(pds: Pds, alice: Account) -> None:
    rev = await first_rev(pds, alice)
    written = (await pds.post_text(alice))["uri"].rpartition("/")[2]
    await put(pds, alice, "self", {"$type": PROFILE}, PROFILE)
    writes = [updates(written, post("edited"), POST)]
    assert (await apply(pds, alice, *writes)).status == 200
    local = await unseen(pds, alice, rev)
    assert local is not None
    assert local.new_profile is not None
    assert local.lag_ms(epoch_ms_of(local.new_profile.indexed_at) + 250) == 250
    assert local.lag_ms(0) == 0


async def test_odd_records_of_an_import_are_no_posts_to_show(pds: Pds, alice: Account) -> None:
    await put(pds, alice, "self", {"$type": PROFILE, "displayName": "old"}, PROFILE)
    rev = await first_rev(pds, alice)
    records = {f"{POST}/sound": post("sound"), f"{PROFILE}/self": {"displayName": "new"}}
    repo = Repo.of(alice.did, pds.ctx.actor_store.key(alice.did), records)
    for number, block in enumerate(ODD.values()):
        repo.records[f"{POST}/odd{number}"] = block
    assert (await import_car(pds, alice, repo.car())).status == 200
    # All of it is newer, and nothing of it fails.
    assert await unseen(pds, alice, rev) is None
    repo.records[f"{PROFILE}/self"] = ODD["a depth of 1,000"]
    assert (await import_car(pds, alice, repo.car())).status == 200
    rev = (await pds.post_text(alice, "seen"))["commit"]["rev"]
    await pds.post_text(alice, "newest")
    local = await unseen(pds, alice, rev)
    assert texts(local) == ["newest"]
    assert local is not None
    assert local.profile is None
