"""Posts that announce pushes, from the hold's own account.

The text is made of what a user names, so names are those of images only, there is one post for each
manifest and tag, and only so many for each user in an hour.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final

from actor_store.writes import PreparedWrite
from database.retry import write
from database.timestamps import Clock
from pds.hold.records import POST
from repo import dagcbor
from repo.cid import Cid

if TYPE_CHECKING:
    from database.connection import Database

POSTS_EACH_HOUR: Final = 20
_HOUR_MS: Final = 3_600_000
_MAX_TEXT: Final = 300
"""The limit of a post in graphemes; all characters that come here are one each."""
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def is_tag(text: str) -> bool:
    """Whether this may be the tag of an image: OCI distribution specification."""
    return _TAG.fullmatch(text) is not None


class Posts:
    """Which pushes were announced."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        """Use `clock`, which returns Unix seconds."""
        self._db = db
        self._clock = clock

    def find(self, manifest: str, tag: str) -> str | None:
        """Return the at-uri of the post about a manifest under a tag."""
        uri: str | None = self._db.value(
            "SELECT uri FROM post WHERE manifest = ? AND tag = ?", (manifest, tag)
        )
        return uri

    def may_post(self, user_did: str) -> bool:
        """Whether a user's push may be announced: not too many were in the last hour."""
        now_ms = int(self._clock() * 1000)
        count = self._db.value(
            "SELECT count(*) FROM (SELECT 1 FROM post"
            " WHERE userDid = ? AND postedAtMs BETWEEN ? AND ? LIMIT ?)",
            (user_did, now_ms - _HOUR_MS, now_ms + _HOUR_MS, POSTS_EACH_HOUR),
        )
        return int(count) < POSTS_EACH_HOUR

    async def note(self, manifest: str, tag: str, *, user_did: str, uri: str) -> None:
        """Remember a post."""
        await write(
            self._db,
            lambda: self._db.run(
                "INSERT INTO post (manifest, tag, userDid, uri, postedAtMs)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (manifest, tag, user_did, uri, int(self._clock() * 1000)),
            ),
        )


def post_write(
    *, rkey: str, user_did: str, name: str, repository: str, tag: str, now: str
) -> PreparedWrite:
    """Return the write of a post about a push by a user, who is mentioned by `name`."""
    text, mention = f"@{name}", f"@{name}".encode()
    value: dict[str, Any] = {
        "$type": POST,
        "text": _shortened(f"{text} pushed {repository}:{tag}"),
        "createdAt": now,
    }
    if len(text) <= _MAX_TEXT:
        value["facets"] = [
            {
                "index": {"byteStart": 0, "byteEnd": len(mention)},
                "features": [{"$type": "app.bsky.richtext.facet#mention", "did": user_did}],
            }
        ]
    block = dagcbor.encode_checked(value)
    return PreparedWrite("create", POST, rkey, Cid.of_dag_cbor(block), block)


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"
