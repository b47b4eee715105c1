"""io.atcr.hold.notifyManifest and getLayersForManifest, with real tokens over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actor_store.errors import ActorStoreDamaged
from actor_store.writes import PreparedWrite
from pds.hold.hold import Hold
from pds.hold.images import pushes
from pds.hold.images.manifest import MAX_LAYERS
from pds.hold.images.posts import POSTS_EACH_HOUR
from pds.hold.permissions import Permission
from pds.hold.records import LAYER
from pds.repos.commits import commit
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON
from tests.pds.hold.pushing import (
    LAYER_TYPE,
    NOTIFY,
    User,
    digest,
    join,
    layer_records,
    manifest,
    outsider,
)

TIERS = "deckhand=100B,bosun=1KB"
POSTS = "app.bsky.feed.post"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON, "PDS_HOLD_TIERS": TIERS, "PDS_HOLD_BLUESKY_POSTS": "true"}


@pytest.fixture
async def user(pds: Pds) -> User:
    return await join(pds, tier="bosun")


@pytest.fixture(autouse=True)
def handles(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Where handles lead to; DNS is out of reach."""
    found: dict[str, str] = {}

    async def resolve(handle: str) -> str | None:
        return found.get(handle)

    monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
    return found


async def rev(pds: Pds) -> str:
    return str((await pds.get("com.atproto.sync.getLatestCommit", did=HOLD_DID)).json["rev"])


async def stats(pds: Pds, user: User) -> tuple[int, int]:
    reply = await pds.get("io.atcr.hold.getStats", did=user.did, repo="myapp")
    return reply.json["pullCount"], reply.json["pushCount"]


# --- Pushes


async def test_a_push_leaves_a_record_for_each_layer_in_one_commit(pds: Pds, user: User) -> None:
    for text in ("one", "two", "three", "config"):
        await user.upload(text)
    before = pds.ctx.sequencer.current_seq

    reply = await user.notify("one", "two", "three", "one")

    assert reply.json == {
        "success": True,
        "operation": "push",
        "statsUpdated": True,
        "layersCreated": 3,
        "postCreated": False,
    }
    assert pds.ctx.sequencer.current_seq == before + 1
    records = await layer_records(pds)
    assert [record["digest"] for record in records] == [
        digest(text) for text in ("one", "two", "three")
    ]
    first = records[0]
    pds.ctx.lexicons.validate_record(LAYER, "3jzfcijpj2z2a", dict(first))
    assert first.pop("createdAt")
    assert first == {
        "$type": LAYER,
        "digest": digest("one"),
        "size": 3,
        "mediaType": LAYER_TYPE,
        "manifest": user.manifest_uri(),
        "userDid": user.did,
    }
    assert await stats(pds, user) == (0, 1)
    found = await pds.get("io.atcr.hold.getLayersForManifest", manifest=user.manifest_uri())
    assert found.json == {"layers": await layer_records(pds)}


async def test_a_repeated_notice_makes_no_second_records(pds: Pds, user: User) -> None:
    await user.push("one")
    before = await rev(pds)
    again = await user.notify("one")
    assert again.json["layersCreated"] == 0
    assert await rev(pds) == before


async def test_two_notices_at_once_make_one_record(pds: Pds, user: User) -> None:
    for text in ("one", "config"):
        await user.upload(text)
    replies = await asyncio.gather(*(user.notify("one") for _ in range(5)))
    assert sorted(reply.json["layersCreated"] for reply in replies) == [0, 0, 0, 0, 1]
    assert len(await layer_records(pds)) == 1


async def test_a_layer_of_two_manifests_has_two_records_and_counts_once(
    pds: Pds, user: User, hold: Hold
) -> None:
    await user.push("one", "two")
    await user.push("one", "three", name="other")
    assert len(await layer_records(pds)) == 4
    usage = await hold.layers.usage(user.did)
    assert (usage.blobs, usage.size_bytes) == (3, len("onetwothree"))


async def test_sizes_are_those_of_the_stored_blobs(pds: Pds, user: User, hold: Hold) -> None:
    await user.upload("one")
    lying = manifest("one")
    lying["layers"][0]["size"] = 0
    assert (await user.notify(manifest=lying)).status == 200
    assert [record["size"] for record in await layer_records(pds)] == [3]


async def test_a_layer_that_is_not_stored_has_no_record(pds: Pds, user: User, hold: Hold) -> None:
    await user.upload("one")
    reply = await user.notify("one", "elsewhere")
    assert reply.json["layersCreated"] == 1
    assert hold.images.use.is_referred(digest("elsewhere")), "it may come yet"


async def test_more_layers_than_a_commit_holds_are_several(
    pds: Pds, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure between two commits leaves a part, which the next notice completes."""
    monkeypatch.setattr(pushes, "MAX_WRITES", 2)
    texts = [f"layer{number}" for number in range(5)]
    for text in texts:
        await user.upload(text)
    done: list[bool] = []

    async def fail_later(*args: Any) -> Any:
        if done:
            raise ActorStoreDamaged(HOLD_DID, "the disk is gone for a moment")
        done.append(True)
        return await commit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(pushes, "commit", fail_later)
        assert (await user.notify(*texts)).error == (503, "RepoUnavailable")
    assert len(await layer_records(pds)) == 2

    before = pds.ctx.sequencer.current_seq
    assert (await user.notify(*texts)).json["layersCreated"] == 3
    assert pds.ctx.sequencer.current_seq == before + 2
    assert sorted(record["digest"] for record in await layer_records(pds)) == sorted(
        map(digest, texts)
    )


async def test_an_index_has_no_layers_and_keeps_its_manifests(
    pds: Pds, user: User, hold: Hold
) -> None:
    child = {
        "digest": digest("child"),
        "size": 5,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "platform": {"os": "linux", "architecture": "arm64"},
    }
    reply = await user.notify(manifest={"manifests": [child]})
    assert (reply.status, reply.json["layersCreated"]) == (200, 0)
    assert hold.images.use.is_referred(digest("child"))


# --- Quotas


async def test_a_push_that_fills_the_quota_exactly_is_accepted(pds: Pds) -> None:
    user = await join(pds, tier="deckhand")
    assert (await user.push("x" * 60, "y" * 40)).status == 200


async def test_a_push_over_the_quota_changes_nothing(pds: Pds, hold: Hold) -> None:
    user = await join(pds, tier="deckhand")
    for text in ("x" * 60, "y" * 41):
        await user.upload(text)
    before = await rev(pds)

    reply = await user.notify("x" * 60, "y" * 41)

    assert reply.error == (403, "QuotaExceeded")
    assert await rev(pds) == before
    assert await stats(pds, user) == (0, 0)
    assert not hold.images.use.is_referred(digest("x" * 60))


async def test_known_layers_cost_nothing_again(pds: Pds) -> None:
    user = await join(pds, tier="deckhand")
    await user.push("x" * 100)
    assert (await user.notify("x" * 100, name="second")).json["layersCreated"] == 1
    await user.upload("z")
    assert (await user.notify("x" * 100, "z", name="third")).error == (403, "QuotaExceeded")


async def test_a_lower_tier_still_lets_known_layers_through(pds: Pds, hold: Hold) -> None:
    user = await join(pds, tier="bosun")
    await user.push("x" * 500)
    await hold.crew.update(user.did, tier="deckhand")
    assert (await user.notify("x" * 500, name="second")).status == 200
    await user.upload("z")
    assert (await user.notify("z", name="third")).error == (403, "QuotaExceeded")


async def test_simultaneous_pushes_do_not_share_the_last_bytes(pds: Pds) -> None:
    user = await join(pds, tier="deckhand")
    texts = [letter * 60 for letter in "abc"]
    for text in texts:
        await user.upload(text)
    replies = await asyncio.gather(*(user.notify(text, name=text) for text in texts))
    assert sorted(reply.status for reply in replies) == [200, 403, 403]


async def test_deleted_records_give_the_quota_back(pds: Pds, hold: Hold) -> None:
    """Whoever deletes them: here the captain, by a commit that these modules know nothing of."""
    user = await join(pds, tier="deckhand")
    await user.push("x" * 100)
    records = await hold.layers.records_of_user(user.did, limit=10)
    write = PreparedWrite("delete", LAYER, records[0].rkey)
    await commit(pds.ctx, hold.did, lambda _: [write])
    await user.upload("y" * 100)
    assert (await user.notify("y" * 100, name="second")).status == 200


# --- Who may


async def test_only_the_user_may_tell_of_their_push(pds: Pds, user: User) -> None:
    other = await join(pds)
    reply = await other.notify(userDid=user.did)
    assert reply.error == (403, "UserMismatch")
    assert await stats(pds, user) == (0, 0)


@pytest.mark.parametrize("operation", ["push", "pull"])
async def test_outsiders_of_a_private_hold_are_refused(
    pds: Pds, user: User, operation: str
) -> None:
    reply = await outsider(pds).notify(operation=operation)
    assert reply.error == (403, "Forbidden")
    anonymous = await pds.post(NOTIFY, {"operation": operation})
    assert anonymous.error[0] in (400, 401)


async def test_a_reader_may_pull_and_not_push(pds: Pds, user: User) -> None:
    reader = await join(pds, permissions=(Permission.READ,))
    assert (await reader.notify()).error == (403, "Forbidden")
    reply = await reader.notify(operation="pull", userDid=user.did)
    assert reply.json == {"success": True, "operation": "pull", "statsUpdated": True}
    assert await stats(pds, user) == (1, 0)


# --- Bad input


async def test_an_unknown_operation_is_refused(user: User) -> None:
    assert (await user.notify(operation="delete")).error == (400, "InvalidOperation")


BAD: list[dict[str, Any]] = [
    {"manifestDigest": "sha512:" + "a" * 64},
    {"manifestDigest": "../../etc/passwd"},
    {"repository": "<b>bold</b>"},
    {"repository": ""},
    {"repository": "a" * 257},
    {"userDid": "nobody"},
    {"manifest": []},
    {"manifest": {"layers": {}}},
    {"manifest": {"layers": ["layer"]}},
    {"manifest": {"layers": [{"digest": "sha256:short", "size": 1}]}},
    {"manifest": {"layers": [{"digest": digest("one"), "size": -1}]}},
    {"manifest": {"layers": [{"digest": digest("one"), "size": 2**60}]}},
    {"manifest": {"layers": [{"digest": digest("one"), "size": True}]}},
    {"manifest": {"layers": [{"digest": digest("one"), "size": 1, "mediaType": "x" * 129}]}},
    {"manifest": {"layers": [{"digest": digest("a"), "size": 1}] * (MAX_LAYERS + 1)}},
    {"manifest": {"manifests": [{"digest": digest("a"), "size": 1}] * 1001}},
    {"manifest": {"config": {"digest": 7, "size": 1}}},
    {"tag": "t" * 129},
    {"operation": "o" * 17},
]


async def test_bad_notices_are_refused_and_change_nothing(pds: Pds, user: User) -> None:
    before = await rev(pds)
    for changes in BAD:
        reply = await user.notify(**changes)
        assert (reply.status, reply.json.get("error", "")[:7]) == (400, "Invalid"), changes
    assert await rev(pds) == before
    assert await stats(pds, user) == (0, 0)


# --- Posts


async def posts(pds: Pds) -> list[Any]:
    reply = await pds.get("com.atproto.repo.listRecords", repo=HOLD_DID, collection=POSTS)
    return [record["value"] for record in reply.json["records"]]


async def test_a_push_with_a_tag_is_announced_once(pds: Pds, user: User) -> None:
    for text in ("one", "config"):
        await user.upload(text)
    before = pds.ctx.sequencer.current_seq
    first = (await user.notify("one", tag="v1.0")).json
    assert pds.ctx.sequencer.current_seq == before + 1
    again = (await user.notify("one", tag="v1.0")).json

    assert (first["postCreated"], again["postCreated"]) == (True, False)
    assert again["postUri"] == first["postUri"]
    assert first["postUri"].startswith(f"at://{HOLD_DID}/{POSTS}/")
    (post,) = await posts(pds)
    # The handle in its DID document does not lead back to the DID.
    assert post["text"] == f"@{user.did} pushed myapp:v1.0"
    mention = post["facets"][0]
    assert mention["features"][0]["did"] == user.did
    end = mention["index"]["byteEnd"]
    assert post["text"].encode()[:end].decode() == f"@{user.did}"
    pds.ctx.lexicons.validate_record(POSTS, first["postUri"].rpartition("/")[2], post)


async def test_a_post_names_a_handle_that_leads_to_the_user(
    pds: Pds, user: User, handles: dict[str, str]
) -> None:
    handles["carol.example.com"] = user.did
    await user.push("one", tag="latest")
    assert [post["text"] for post in await posts(pds)] == ["@carol.example.com pushed myapp:latest"]


async def test_nobody_s_handle_is_looked_up_for_nothing(
    pds: Pds, user: User, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await user.push("one", tag="latest")).json["postCreated"]

    async def resolve(_: str) -> str:
        raise AssertionError("it was announced already")

    monkeypatch.setattr(pds.ctx.handle_resolver, "resolve", resolve)
    assert not (await user.notify("one", tag="latest")).json["postCreated"]
    assert (await user.notify("one")).status == 200


async def test_what_is_no_tag_is_not_repeated_in_public(pds: Pds, user: User) -> None:
    for tag in ("", "two words", "https://evil.example", "@victim.test"):
        await user.push(f"layer of {tag}", name=tag, tag=tag)
        assert await posts(pds) == [], tag


async def test_posts_of_a_user_are_limited(pds: Pds, user: User) -> None:
    for number in range(POSTS_EACH_HOUR + 2):
        assert (await user.notify(tag=f"v{number}")).status == 200
    assert len(await posts(pds)) == POSTS_EACH_HOUR


# --- getStats and listStats


async def test_stats_of_what_nobody_has_counted_are_zeros(pds: Pds, user: User) -> None:
    reply = await pds.get("io.atcr.hold.getStats", did=user.did, repo="unknown")
    assert (reply.status, reply.json) == (200, {"pullCount": 0, "pushCount": 0})
    assert (await pds.get("io.atcr.hold.getStats", did="nobody", repo="x")).status == 400


async def test_stats_are_listed_in_pages(pds: Pds, user: User, hold: Hold) -> None:
    for name in ("a", "b", "c"):
        hold.stats.count_pull(user.did, name)
    first = await pds.get("io.atcr.hold.listStats", did=user.did, limit="2")
    rest = await pds.get(
        "io.atcr.hold.listStats", did=user.did, limit="2", cursor=first.json["cursor"]
    )
    assert "cursor" not in rest.json
    found = [*first.json["stats"], *rest.json["stats"]]
    assert [each["repository"] for each in found] == ["a", "b", "c"]
    assert {each["did"] for each in found} == {user.did}
    assert all(each["pullCount"] == 1 and each["lastPull"] for each in found)
