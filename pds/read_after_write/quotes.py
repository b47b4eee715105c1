"""Views of records that a post quotes, as the AppView knows them.

Spec: app.bsky.embed.record
"""

from __future__ import annotations

from pds.read_after_write.appview import AppView, Json, as_object, list_in, object_in, text_in
from repo.syntax import parse_at_uri


async def quoted_view(uri: str, appview: AppView | None) -> Json:
    """Return the view of a quoted post, feed or list; `viewNotFound` for others or missing ones.

    Raises `AppViewError`.
    """
    view = None if appview is None else await _find(uri, appview)
    if view is None:
        return {"$type": "app.bsky.embed.record#viewNotFound", "uri": uri, "notFound": True}
    return view


async def _find(uri: str, appview: AppView) -> Json | None:
    match parse_at_uri(uri).collection:
        case "app.bsky.feed.post":
            answer = await appview.query("app.bsky.feed.getPosts", {"uris": uri})
            posts = list_in(answer, "posts")
            return _record_view(posts[0]) if posts else None
        case "app.bsky.feed.generator":
            answer = await appview.query("app.bsky.feed.getFeedGenerator", {"feed": uri})
            return {**object_in(answer, "view"), "$type": "app.bsky.feed.defs#generatorView"}
        case "app.bsky.graph.list":
            answer = await appview.query("app.bsky.graph.getList", {"list": uri, "limit": 1})
            return {**object_in(answer, "list"), "$type": "app.bsky.graph.defs#listView"}
        case _:
            return None


def _record_view(post: object) -> Json:
    """Turn a `postView` into a `viewRecord`."""
    view: Json = {
        "$type": "app.bsky.embed.record#viewRecord",
        "uri": text_in(post, "uri"),
        "cid": text_in(post, "cid"),
        "author": object_in(post, "author"),
        "value": object_in(post, "record"),
        "indexedAt": text_in(post, "indexedAt"),
    }
    known = as_object(post)
    if "labels" in known:
        view["labels"] = list_in(post, "labels")
    if "embed" in known:
        view["embeds"] = [object_in(post, "embed")]
    return view
