"""What a new post embeds is shown as the AppView would show it."""

from __future__ import annotations

from typing import Any

import pytest

from pds.read_after_write.appview import AppViewError, UnexpectedAnswer
from pds.read_after_write.merging import MERGES
from tests.pds.read_after_write.samples import (
    BLOB,
    BOB,
    CID,
    GET_GENERATOR,
    GET_LIST,
    GET_POSTS,
    IMAGES,
    PICTURE,
    TIMELINE,
    AppViewDouble,
    Json,
    ann,
    at,
    checked,
    detailed_view,
    new_post,
    post_view,
    profile_view,
    ref,
    uri,
)

QUOTED = uri(BOB, 1)
THUMB = IMAGES.url("feed_thumbnail", str(PICTURE))
FULLSIZE = IMAGES.url("feed_fullsize", str(PICTURE))

RATIO = {"width": 3, "height": 2}
PICTURES = {
    "$type": "app.bsky.embed.images",
    "images": [{"image": BLOB, "alt": "one", "aspectRatio": RATIO}, {"image": BLOB, "alt": ""}],
}
PICTURES_VIEW = {
    "$type": "app.bsky.embed.images#view",
    "images": [
        {"thumb": THUMB, "fullsize": FULLSIZE, "alt": "one", "aspectRatio": RATIO},
        {"thumb": THUMB, "fullsize": FULLSIZE, "alt": ""},
    ],
}
CARD = {"uri": "https://example.com/", "title": "Title", "description": "Text"}
VIDEO = {
    "$type": "app.bsky.embed.video",
    "video": {**BLOB, "mimeType": "video/mp4"},
    "alt": "moving",
}
GENERATOR = uri(BOB, 1, "app.bsky.feed.generator")
GENERATOR_VIEW = {
    "uri": GENERATOR,
    "cid": CID,
    "did": "did:web:feed.example",
    "creator": detailed_view(BOB),
    "displayName": "Feed",
    "indexedAt": at(1),
}
LIST = uri(BOB, 1, "app.bsky.graph.list")
LIST_VIEW = {
    "uri": LIST,
    "cid": CID,
    "creator": detailed_view(BOB),
    "name": "List",
    "purpose": "app.bsky.graph.defs#curatelist",
    "indexedAt": at(1),
}


def external(**fields: Any) -> Json:
    return {"$type": "app.bsky.embed.external", "external": {**CARD, **fields}}


def quote(to: str = QUOTED) -> Json:
    return {"$type": "app.bsky.embed.record", "record": ref(to)}


def quote_view(view: Json) -> Json:
    return {"$type": "app.bsky.embed.record#view", "record": view}


def not_found(to: str) -> Json:
    view = {"$type": "app.bsky.embed.record#viewNotFound", "uri": to, "notFound": True}
    return quote_view(view)


def with_media(media: Json, record: Json | None = None) -> Json:
    return {
        "$type": "app.bsky.embed.recordWithMedia",
        "record": record or quote(),
        "media": media,
    }


async def shown(embed: Json, appview: AppViewDouble | None = None) -> Any:
    """The embed of a post in the timeline, or None."""
    answer: Json = {"feed": []}
    await MERGES[TIMELINE](answer, ann(new_post(5, embed=embed), appview=appview), {})
    return checked(TIMELINE, answer)["feed"][0]["post"].get("embed")


async def test_pictures() -> None:
    assert await shown(PICTURES) == PICTURES_VIEW


async def test_card_with_and_without_a_picture() -> None:
    view = {"$type": "app.bsky.embed.external#view", "external": CARD}
    assert await shown(external()) == view
    view = {**view, "external": {**CARD, "thumb": THUMB}}
    assert await shown(external(thumb=BLOB)) == view


@pytest.mark.parametrize("embed", [VIDEO, with_media(VIDEO), {"$type": "com.example.embed"}])
async def test_what_only_the_appview_can_show_is_left_out(embed: Json) -> None:
    assert await shown(embed, AppViewDouble()) is None


async def test_quoted_post() -> None:
    picture = {"$type": "app.bsky.embed.external#view", "external": CARD}
    post = {**post_view(BOB, 1), "embed": picture}
    appview = AppViewDouble({GET_POSTS: {"posts": [post]}})
    view = {
        "$type": "app.bsky.embed.record#viewRecord",
        "uri": QUOTED,
        "cid": CID,
        "author": profile_view(BOB),
        "value": post["record"],
        "labels": [],
        "embeds": [picture],
        "indexedAt": at(1),
    }
    assert await shown(quote(), appview) == quote_view(view)
    assert appview.asked == [(GET_POSTS, {"uris": QUOTED})]
    assert await shown(with_media(PICTURES, {"record": ref(QUOTED)}), appview) == {
        "$type": "app.bsky.embed.recordWithMedia#view",
        "record": quote_view(view),
        "media": PICTURES_VIEW,
    }


async def test_quoted_feed() -> None:
    appview = AppViewDouble({GET_GENERATOR: {"view": GENERATOR_VIEW, "isOnline": True}})
    view = {**GENERATOR_VIEW, "$type": "app.bsky.feed.defs#generatorView"}
    assert await shown(quote(GENERATOR), appview) == quote_view(view)
    assert appview.asked == [(GET_GENERATOR, {"feed": GENERATOR})]


async def test_quoted_list() -> None:
    appview = AppViewDouble({GET_LIST: {"list": LIST_VIEW, "items": []}})
    view = {**LIST_VIEW, "$type": "app.bsky.graph.defs#listView"}
    assert await shown(quote(LIST), appview) == quote_view(view)
    assert appview.asked == [(GET_LIST, {"list": LIST, "limit": 1})]


@pytest.mark.parametrize("to", [QUOTED, uri(BOB, 1, "com.example.thing"), f"at://{BOB}"])
async def test_quote_of_nothing_that_is_known_is_not_found(to: str) -> None:
    assert await shown(quote(to), AppViewDouble({GET_POSTS: {"posts": []}})) == not_found(to)


async def test_quote_without_an_appview_is_not_found() -> None:
    assert await shown(quote()) == not_found(QUOTED)


@pytest.mark.parametrize(
    ("to", "answers", "error"),
    [
        (QUOTED, {}, AppViewError),
        (GENERATOR, {}, AppViewError),
        (QUOTED, {GET_POSTS: []}, UnexpectedAnswer),
        (QUOTED, {GET_POSTS: {"posts": [1]}}, UnexpectedAnswer),
        (QUOTED, {GET_POSTS: {"posts": [{**post_view(BOB, 1), "author": 1}]}}, UnexpectedAnswer),
        (QUOTED, {GET_POSTS: {"posts": [{**post_view(BOB, 1), "labels": 1}]}}, UnexpectedAnswer),
        (QUOTED, {GET_POSTS: {"posts": [{**post_view(BOB, 1), "embed": 1}]}}, UnexpectedAnswer),
        (GENERATOR, {GET_GENERATOR: {"view": []}}, UnexpectedAnswer),
        (LIST, {GET_LIST: {}}, UnexpectedAnswer),
    ],
)
async def test_quote_that_cannot_be_resolved_fails_the_merge(
    to: str, answers: Json, error: type[AppViewError]
) -> None:
    answer: Json = {"feed": []}
    requester = ann(new_post(5, embed=quote(to)), appview=AppViewDouble(answers))
    with pytest.raises(ExceptionGroup) as caught:
        await MERGES[TIMELINE](answer, requester, {})
    assert [type(exc) for exc in caught.value.exceptions] == [error]
    assert answer == {"feed": []}
