"""Threads: new replies under the posts they answer, and threads of new posts.

Spec: app.bsky.feed.defs#threadViewPost
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from pds.read_after_write.appview import (
    AppView,
    AppViewError,
    Json,
    as_object,
    list_in,
    object_in,
    text_in,
)
from pds.read_after_write.local_records import LocalRecord
from pds.read_after_write.requester import Requester

GET_POST_THREAD: Final = "app.bsky.feed.getPostThread"
_VIEW: Final = "app.bsky.feed.defs#threadViewPost"


async def insert_replies(thread: Json, requester: Requester) -> None:
    """Insert each new reply to a post of the thread before the post's other replies.

    A thread that cannot be shown, such as one of a blocked author, stays as it is. Raises
    `UnexpectedAnswer`, and what `Requester.post_views` raises.
    """
    if thread.get("$type") != _VIEW:
        return
    root, shown = _root_of(thread), _index(thread)
    parents: dict[str, str] = {}
    for post in requester.local.posts:
        reply = post.value.get("reply")
        if reply is None or reply["root"]["uri"] != root or post.uri in shown:
            continue
        parent = reply["parent"]["uri"]
        if parent in shown or parent in parents:
            parents[post.uri] = parent
    posts = [post for post in requester.local.posts if post.uri in parents]
    # Oldest first, so that a reply to another new post finds that post in the thread.
    for view in await requester.post_views(posts):
        node = shown[view["uri"]] = _node(view)
        parent_node = shown[parents[view["uri"]]]
        parent_node["replies"] = [node, *parent_node.get("replies", ())]


async def new_thread(post: LocalRecord, requester: Requester, *, parent_height: int) -> Json:
    """Return the thread of a post the AppView has not indexed, with its parents as far as known.

    Raises what `Requester.post_views` raises.
    """
    [view] = await requester.post_views([post])
    thread = _node(view)
    await insert_replies(thread, requester)
    if "reply" in post.value and requester.appview is not None:
        parent = post.value["reply"]["parent"]["uri"]
        # The parent may be gone, or as new as the post itself.
        with suppress(AppViewError):
            thread["parent"] = await _fetch_parent(parent, requester.appview, parent_height)
    return thread


async def _fetch_parent(uri: str, appview: AppView, height: int) -> Json:
    """Return a post with up to `height` of its parents. Raises `AppViewError`."""
    params: dict[str, str | int] = {"uri": uri, "parentHeight": height, "depth": 0}
    return object_in(await appview.query(GET_POST_THREAD, params), "thread")


def _index(thread: Json) -> dict[str, Json]:
    """Return every visible post of the thread, from its own downwards, by URI."""
    found: dict[str, Json] = {}
    # A stack of our own: input from outside must not steer Python's recursion.
    stack: list[Any] = [thread]
    while stack:
        node = as_object(stack.pop())
        if node.get("$type") == _VIEW:
            found.setdefault(text_in(object_in(node, "post"), "uri"), node)
            if "replies" in node:
                stack.extend(list_in(node, "replies"))
    return found


def _root_of(thread: Json) -> str:
    """Return the URI of the thread's root post."""
    post = object_in(thread, "post")
    record = object_in(post, "record")
    if "reply" not in record:
        return text_in(post, "uri")
    return text_in(object_in(object_in(record, "reply"), "root"), "uri")


def _node(view: Json) -> Json:
    return {"$type": _VIEW, "post": view}
