"""Feeds: new posts stand at their place, and the account's posts show its new profile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pds.read_after_write.appview import UnexpectedAnswer
from pds.read_after_write.merging import MERGES
from tests.pds.read_after_write.samples import (
    ANN,
    AUTHOR_FEED,
    BLOB,
    BOB,
    CID,
    IMAGES,
    LIKES,
    PICTURE,
    TIMELINE,
    Json,
    ann,
    at,
    checked,
    item,
    new_post,
    new_profile,
    post_view,
    profile_view,
    repost_by,
    uri,
)

PROFILE = new_profile(displayName="Ann", avatar=BLOB)


async def merged(nsid: str, feed: list[Json], *args: Any, **kwargs: Any) -> list[Json]:
    """The feed of a first page after the merge."""
    answer = {"feed": feed, "cursor": "next"}
    await MERGES[nsid](answer, ann(*args, **kwargs), {})
    read: list[Json] = checked(nsid, answer)["feed"]
    assert answer["cursor"] == "next"
    return read


def minutes(feed: list[Json]) -> list[int]:
    return [int(one["post"]["indexedAt"][14:16]) for one in feed]


async def test_new_post_is_shown_as_the_appview_would() -> None:
    profile = {"displayName": "Ann", "avatar": BLOB}
    feed = await merged(TIMELINE, [item(BOB, 1)], new_post(5), old_profile=profile)
    assert feed == [
        {
            "post": {
                "uri": uri(ANN, 5),
                "cid": CID,
                "author": {
                    "did": ANN,
                    "handle": "ann.test",
                    "displayName": "Ann",
                    "avatar": IMAGES.url("avatar", str(PICTURE)),
                },
                "record": {"$type": "app.bsky.feed.post", "text": "new 5", "createdAt": at(5)},
                "replyCount": 0,
                "repostCount": 0,
                "likeCount": 0,
                "quoteCount": 0,
                "indexedAt": at(5),
            }
        },
        item(BOB, 1),
    ]


async def test_new_posts_stand_between_older_and_newer_ones() -> None:
    posts = [new_post(minute) for minute in (3, 5, 7, 9)]
    feed = await merged(TIMELINE, [item(BOB, minute) for minute in (8, 6, 4)], *posts)
    assert minutes(feed) == [9, 8, 7, 6, 5, 4]


async def test_post_as_old_as_the_last_stays_out() -> None:
    assert minutes(await merged(TIMELINE, [item(BOB, 4)], new_post(4))) == [4]


async def test_newest_of_several_posts_comes_first_also_at_one_time() -> None:
    posts = [new_post(5), replace(new_post(6), indexed_at=at(5))]
    feed = await merged(TIMELINE, [item(BOB, 1)], *posts)
    assert [one["post"]["uri"] for one in feed] == [uri(ANN, 6), uri(ANN, 5), uri(BOB, 1)]


async def test_clock_that_stepped_back_between_posts_confuses_no_order() -> None:
    posts = [new_post(9), new_post(5)]
    feed = await merged(TIMELINE, [item(BOB, minute) for minute in (8, 6, 4)], *posts)
    assert minutes(feed) == [9, 8, 6, 5, 4]


async def test_empty_timeline_gets_all_new_posts() -> None:
    assert minutes(await merged(TIMELINE, [], new_post(1), new_post(2))) == [2, 1]


async def test_post_that_is_shown_already_is_not_repeated() -> None:
    assert minutes(await merged(TIMELINE, [item(ANN, 5), item(BOB, 1)], new_post(5))) == [5, 1]


async def test_later_page_gets_only_posts_that_belong_among_its_own() -> None:
    answer = {"feed": [item(BOB, 8), item(BOB, 4)]}
    await MERGES[TIMELINE](answer, ann(new_post(6), new_post(9)), {"cursor": "page 2"})
    assert minutes(answer["feed"]) == [8, 6, 4]
    empty: Json = {"feed": []}
    await MERGES[TIMELINE](empty, ann(new_post(6)), {"cursor": "page 3"})
    assert empty == {"feed": []}


async def test_own_author_feed_gets_posts_and_profile() -> None:
    feed = await merged(
        AUTHOR_FEED,
        [item(ANN, 4), item(BOB, 2, reason=repost_by(ANN))],
        new_post(5),
        profile=PROFILE,
    )
    assert minutes(feed) == [5, 4, 2]
    assert [one["post"]["author"]["displayName"] for one in feed] == ["Ann", "Ann", "Before"]
    assert feed[1]["post"]["author"] == {
        **profile_view(ANN),
        "displayName": "Ann",
        "avatar": IMAGES.url("avatar", str(PICTURE)),
    }


async def test_author_feed_that_begins_with_an_own_repost_is_the_own() -> None:
    feed = await merged(AUTHOR_FEED, [item(BOB, 2, reason=repost_by(ANN))], new_post(5))
    assert minutes(feed) == [5, 2]


@pytest.mark.parametrize(
    "feed",
    [
        [],
        [item(BOB, 2)],
        [item(ANN, 2, reason=repost_by(BOB))],
        [item(ANN, 2, reason={"$type": "app.bsky.feed.defs#reasonPin"})],
    ],
)
async def test_other_author_feeds_stay_as_they_are(feed: list[Json]) -> None:
    assert await merged(AUTHOR_FEED, list(feed), new_post(5), profile=PROFILE) == feed


async def test_likes_show_the_new_profile_on_own_posts_and_nothing_else() -> None:
    feed = await merged(LIKES, [item(BOB, 9), item(ANN, 1)], new_post(5), profile=PROFILE)
    assert [one["post"]["author"]["displayName"] for one in feed] == ["Before", "Ann"]


async def test_likes_stay_as_they_are_without_a_new_profile() -> None:
    feed = await merged(LIKES, [item(ANN, 1)], new_post(5), old_profile={"displayName": "x"})
    assert feed == [item(ANN, 1)]


@pytest.mark.parametrize("nsid", [TIMELINE, AUTHOR_FEED, LIKES])
@pytest.mark.parametrize(
    "feed",
    [
        None,
        {},
        [1],
        [{}],
        [{"post": 1}],
        [{"post": {**post_view(ANN, 1), "author": [], "indexedAt": 1}}],
        [{"post": {**post_view(ANN, 1), "author": {"did": 1}, "uri": None}}],
    ],
)
async def test_other_shapes_are_refused(nsid: str, feed: Any) -> None:
    with pytest.raises(UnexpectedAnswer):
        await MERGES[nsid]({"feed": feed}, ann(new_post(5), profile=PROFILE), {})


@pytest.mark.parametrize("reason", [1, {"$type": 1}, {"$type": "com.example.reason"}])
async def test_reason_of_an_unknown_kind_makes_no_feed_the_own(reason: Any) -> None:
    feed = [item(ANN, 1, reason=reason)]
    await MERGES[AUTHOR_FEED]({"feed": feed}, ann(new_post(5)), {})
    assert len(feed) == 1
