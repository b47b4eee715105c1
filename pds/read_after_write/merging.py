"""Updates of AppView answers, as each method needs it. Answers change in place."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

from pds.read_after_write import feed, thread
from pds.read_after_write.appview import Json, as_object, list_in, object_in, text_in
from pds.read_after_write.profile import update_detailed
from pds.read_after_write.requester import Requester
from repo.datamodel import json_default

Merge: TypeAlias = Callable[[Json, Requester, Mapping[str, Any]], Awaitable[None]]
"""Updates the answer to a request of the account with these parameters. Raises `AppViewError`s,
also in an `ExceptionGroup`; the answer is then unusable."""


@dataclass(slots=True, frozen=True)
class Merged:
    """An answer that includes the account's latest writes."""

    body: bytes
    """JSON."""
    lag_ms: int
    """The age of the oldest record that the AppView has not indexed."""


async def merge(nsid: str, params: Mapping[str, Any], body: bytes, requester: Requester) -> Merged:
    """Return the answer `body` with what it lacks.

    Raises what a `Merge` raises, and a `ValueError` or `TypeError` for what is not JSON, or nested
    too deeply to be encoded again.
    """
    answer = as_object(orjson.loads(body))
    await MERGES[nsid](answer, requester, params)
    return _merged(answer, requester)


async def merge_new_thread(uri: str, requester: Requester, *, parent_height: int) -> Merged | None:
    """Answer getPostThread for a post that the AppView has not found, if it is a new one.

    Raises what `new_thread` raises.
    """
    post = next((post for post in requester.local.posts if post.uri == uri), None)
    if post is None:
        return None
    new_thread = await thread.new_thread(post, requester, parent_height=parent_height)
    return _merged({"thread": new_thread}, requester)


async def get_profile(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.actor.getProfile"""
    _update_profile(answer, requester)


async def get_profiles(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.actor.getProfiles"""
    for profile in list_in(answer, "profiles"):
        _update_profile(as_object(profile), requester)


async def get_actor_likes(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.feed.getActorLikes"""
    feed.update_authors(list_in(answer, "feed"), requester)


async def get_author_feed(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.feed.getAuthorFeed"""
    items = list_in(answer, "feed")
    if feed.is_feed_of(requester.did, items):
        feed.update_authors(items, requester)
        await feed.insert_posts(items, requester, is_first_page="cursor" not in params)


async def get_timeline(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.feed.getTimeline"""
    items = list_in(answer, "feed")
    await feed.insert_posts(items, requester, is_first_page="cursor" not in params)


async def get_post_thread(answer: Json, requester: Requester, params: Mapping[str, Any]) -> None:
    """app.bsky.feed.getPostThread"""
    await thread.insert_replies(object_in(answer, "thread"), requester)


MERGES: Final[Mapping[str, Merge]] = {
    "app.bsky.actor.getProfile": get_profile,
    "app.bsky.actor.getProfiles": get_profiles,
    "app.bsky.feed.getActorLikes": get_actor_likes,
    "app.bsky.feed.getAuthorFeed": get_author_feed,
    "app.bsky.feed.getTimeline": get_timeline,
    "app.bsky.feed.getPostThread": get_post_thread,
}
"""The update of each method, by NSID."""


def _update_profile(view: Json, requester: Requester) -> None:
    new_profile = requester.local.new_profile
    if new_profile is not None and text_in(view, "did") == requester.did:
        update_detailed(view, new_profile.value, requester.images)


def _merged(answer: Json, requester: Requester) -> Merged:
    body = orjson.dumps(answer, default=json_default)
    return Merged(body, requester.local.lag_ms(int(time.time() * 1000)))
