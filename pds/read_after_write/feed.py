"""Feeds: new posts inserted in order, and the new profile on the author's own posts.

Spec: app.bsky.feed.defs#feedViewPost
"""

from __future__ import annotations

from typing import Any, Final

from pds.read_after_write.appview import object_in, text_in
from pds.read_after_write.local_records import LocalRecord
from pds.read_after_write.profile import update_basic
from pds.read_after_write.requester import Requester

_REPOST: Final = "app.bsky.feed.defs#reasonRepost"


def is_feed_of(did: str, feed: list[Any]) -> bool:
    """Return whether a feed is the account's: its first item is a post or a repost by it."""
    if not feed:
        return False
    reason = feed[0].get("reason") if type(feed[0]) is dict else None
    if reason is None:
        return text_in(_author(feed[0]), "did") == did
    if type(reason) is not dict or reason.get("$type") != _REPOST:
        return False
    return text_in(object_in(reason, "by"), "did") == did


def update_authors(feed: list[Any], requester: Requester) -> None:
    """Show the account's new profile, if there is one, on its posts, but not on its reposts."""
    new_profile = requester.local.new_profile
    if new_profile is None:
        return
    for item in feed:
        author = _author(item)
        if text_in(author, "did") == requester.did:
            update_basic(author, new_profile.value, requester.images)


async def insert_posts(feed: list[Any], requester: Requester, *, is_first_page: bool) -> None:
    """Insert each new post before the first older one; skip posts older than the feed's last.

    On a later page, posts that would come first are skipped as well: they belong to the page
    before. Raises `UnexpectedAnswer`, and what `Requester.post_views` raises.
    """
    times = [text_in(object_in(item, "post"), "indexedAt") for item in feed]
    shown = {text_in(object_in(item, "post"), "uri") for item in feed}
    places = {
        post.uri: place
        for post in requester.local.posts
        if post.uri not in shown
        and (place := _place(post, times)) is not None
        and (place > 0 or is_first_page)
    }
    posts = sorted(
        (post for post in requester.local.posts if post.uri in places),
        key=lambda post: post.indexed_at,
    )
    # Oldest first, that is from the last place to the first: no insertion shifts a later one.
    for view in await requester.post_views(posts):
        feed.insert(places[view["uri"]], {"post": view})


def _place(post: LocalRecord, times: list[str]) -> int | None:
    """Return the index of the first older item; None if even the last is not older."""
    if not times:
        return 0
    if times[-1] >= post.indexed_at:
        return None
    return next(index for index, time in enumerate(times) if time < post.indexed_at)


def _author(item: object) -> Any:
    return object_in(object_in(item, "post"), "author")
