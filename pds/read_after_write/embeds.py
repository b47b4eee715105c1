"""Views of a post's embeds, built from its record.

A video has no view: only the AppView's video service knows the playlist that it must name. Posts
with such an embed are shown without it, as the reference PDS does.
Spec: app.bsky.embed.*
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from pds.read_after_write.appview import Json
from pds.read_after_write.images import Images

_IMAGES: Final = "app.bsky.embed.images"
_EXTERNAL: Final = "app.bsky.embed.external"
_RECORD: Final = "app.bsky.embed.record"
_RECORD_WITH_MEDIA: Final = "app.bsky.embed.recordWithMedia"


async def embed_view(
    embed: Json, images: Images, quoted_view: Callable[[str], Awaitable[Json]]
) -> Json | None:
    """Return the view of an embed that satisfies its Lexicon, or None if it cannot be built.

    `quoted_view` returns the view of the record with a URI. Raises what that raises.
    """
    kind = embed["$type"]
    if kind == _RECORD:
        return await _record_view(embed, quoted_view)
    if kind != _RECORD_WITH_MEDIA:
        return _media_view(embed, images)
    media = _media_view(embed["media"], images)
    if media is None:
        return None
    return {
        "$type": f"{kind}#view",
        "record": await _record_view(embed["record"], quoted_view),
        "media": media,
    }


async def _record_view(embed: Json, quoted_view: Callable[[str], Awaitable[Json]]) -> Json:
    return {"$type": f"{_RECORD}#view", "record": await quoted_view(embed["record"]["uri"])}


def _media_view(embed: Json, images: Images) -> Json | None:
    kind = embed["$type"]
    if kind == _IMAGES:
        shown = [_image_view(image, images) for image in embed["images"]]
        return {"$type": f"{kind}#view", "images": shown}
    if kind == _EXTERNAL:
        return {"$type": f"{kind}#view", "external": _external_view(embed["external"], images)}
    return None


def _image_view(image: Json, images: Images) -> Json:
    cid = str(image["image"]["ref"])
    view: Json = {
        "thumb": images.url("feed_thumbnail", cid),
        "fullsize": images.url("feed_fullsize", cid),
        "alt": image["alt"],
    }
    if "aspectRatio" in image:
        view["aspectRatio"] = image["aspectRatio"]
    return view


def _external_view(external: Json, images: Images) -> Json:
    view: dict[str, Any] = {name: external[name] for name in ("uri", "title", "description")}
    if "thumb" in external:
        view["thumb"] = images.url("feed_thumbnail", str(external["thumb"]["ref"]))
    return view
