"""The requesting account, and its new posts as its AppView would show them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pds.read_after_write.appview import AppView, Json
from pds.read_after_write.embeds import embed_view
from pds.read_after_write.images import Images
from pds.read_after_write.local_records import LocalRecord, LocalRecords
from pds.read_after_write.profile import basic_view
from pds.read_after_write.quotes import quoted_view


@dataclass(slots=True, frozen=True)
class Requester:
    """An account with the records that its AppView has not indexed."""

    did: str
    handle: str
    local: LocalRecords
    images: Images
    appview: AppView | None
    """Knows what posts quote; None if no AppView is configured."""

    async def post_views(self, posts: Sequence[LocalRecord]) -> list[Json]:
        """Return a `postView` of each post; what they quote is fetched concurrently.

        Raises an `ExceptionGroup` of `AppViewError`s.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._post_view(post)) for post in posts]
        return [task.result() for task in tasks]

    async def _post_view(self, post: LocalRecord) -> Json:
        view: Json = {
            "uri": post.uri,
            "cid": post.cid,
            "author": basic_view(self.did, self.handle, self.local.profile, self.images),
            "record": post.value,
            "indexedAt": post.indexed_at,
            # Nobody can have reacted to a post that the AppView has not shown yet.
            "likeCount": 0,
            "replyCount": 0,
            "repostCount": 0,
            "quoteCount": 0,
        }
        if "embed" in post.value:
            embed = await embed_view(post.value["embed"], self.images, self._quoted_view)
            if embed is not None:
                view["embed"] = embed
        return view

    async def _quoted_view(self, uri: str) -> Json:
        return await quoted_view(uri, self.appview)
