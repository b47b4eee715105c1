"""Answers as an AppView writes them, and an account whose records they lack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from pds.read_after_write.appview import AppViewError
from pds.read_after_write.images import Images
from pds.read_after_write.local_records import LocalRecord, LocalRecords
from pds.read_after_write.requester import Requester
from repo.cid import Cid
from repo.datamodel import json_default
from repo.lexicon import default_lexicons
from tests.pds.read_after_write.answers import check_answer

GET_PROFILE = "app.bsky.actor.getProfile"
GET_PROFILES = "app.bsky.actor.getProfiles"
LIKES = "app.bsky.feed.getActorLikes"
AUTHOR_FEED = "app.bsky.feed.getAuthorFeed"
TIMELINE = "app.bsky.feed.getTimeline"
THREAD = "app.bsky.feed.getPostThread"
GET_POSTS = "app.bsky.feed.getPosts"
GET_GENERATOR = "app.bsky.feed.getFeedGenerator"
GET_LIST = "app.bsky.graph.getList"

ANN = "did:plc:7iza6de2dwap2sbkpav7c6c6"
BOB = "did:plc:kjqdtlqv7lfpbb6b5pfzqwnv"
POST = "app.bsky.feed.post"
PROFILE = "app.bsky.actor.profile"
CID = str(Cid.of_dag_cbor(b"\xa0"))
PICTURE = Cid.of_raw(b"picture")
CDN = "https://cdn.example/img/%s/plain/%s/%s@jpeg"
IMAGES = Images(ANN, CDN, "https://pds.example")
BLOB = {"$type": "blob", "ref": PICTURE, "mimeType": "image/png", "size": 7}

Json = dict[str, Any]


def rkey(number: int) -> str:
    """A record key for each number."""
    return f"3kaaaaaaa{number:04}".translate(str.maketrans("0189", "wxyz"))


def uri(did: str, number: int, collection: str = POST) -> str:
    """The URI of a record."""
    return f"at://{did}/{collection}/{rkey(number)}"


def at(minute: int) -> str:
    """A time."""
    return f"2026-01-01T00:{minute:02}:00.000Z"


def ref(to: str) -> Json:
    """A strong reference."""
    return {"uri": to, "cid": CID}


def reply_to(parent: str, root: str) -> Json:
    """The `reply` of a post."""
    return {"reply": {"root": ref(root), "parent": ref(parent)}}


# --- what the AppView says ---


def profile_view(did: str, **fields: Any) -> Json:
    """A `profileViewBasic` or larger."""
    return {
        "did": did,
        "handle": "ann.test" if did == ANN else "bob.test",
        "displayName": "Before",
        "avatar": "https://cdn.example/before",
        "associated": {"chat": {"allowIncoming": "following"}},
        "viewer": {"muted": False, "blockedBy": False},
        "labels": [],
        "createdAt": at(0),
        **fields,
    }


def detailed_view(did: str, **fields: Any) -> Json:
    """A `profileViewDetailed`."""
    counts = {"followersCount": 3, "followsCount": 4, "postsCount": 5}
    images = {"description": "before", "banner": "https://cdn.example/banner"}
    return profile_view(did, **images, **counts, **fields)


def post_view(did: str, number: int, **record: Any) -> Json:
    """A `postView`, indexed at the minute `number`."""
    return {
        "uri": uri(did, number),
        "cid": CID,
        "author": profile_view(did),
        "record": {"$type": POST, "text": f"post {number}", "createdAt": at(number), **record},
        "bookmarkCount": 0,
        "replyCount": 1,
        "repostCount": 2,
        "likeCount": 3,
        "quoteCount": 0,
        "indexedAt": at(number),
        "viewer": {"threadMuted": False, "embeddingDisabled": False},
        "labels": [],
    }


def item(did: str, number: int, **fields: Any) -> Json:
    """A `feedViewPost`."""
    return {"post": post_view(did, number), **fields}


def repost_by(did: str) -> Json:
    """A `reason` for an item."""
    return {
        "$type": "app.bsky.feed.defs#reasonRepost",
        "by": profile_view(did),
        "indexedAt": at(59),
    }


def node(post: Json, *replies: Json, **fields: Any) -> Json:
    """A `threadViewPost`; `replies` is absent if there are none."""
    view = {"$type": "app.bsky.feed.defs#threadViewPost", "post": post, **fields}
    return {**view, "replies": list(replies)} if replies else view


NOT_FOUND = {
    "$type": "app.bsky.feed.defs#notFoundPost",
    "uri": uri(BOB, 99),
    "notFound": True,
}
BLOCKED = {
    "$type": "app.bsky.feed.defs#blockedPost",
    "uri": uri(BOB, 98),
    "blocked": True,
    "author": {"did": BOB},
}


# --- what the account has written ---


def new_post(number: int, **record: Any) -> LocalRecord:
    """A post of Ann's, indexed at the minute `number`."""
    value = {"$type": POST, "text": f"new {number}", "createdAt": at(number), **record}
    default_lexicons().validate_record(POST, rkey(number), value)
    return LocalRecord(uri(ANN, number), CID, value, at(number))


def new_profile(**fields: Any) -> LocalRecord:
    """A profile of Ann's."""
    value = {"$type": PROFILE, **fields}
    default_lexicons().validate_record(PROFILE, "self", value)
    return LocalRecord(f"at://{ANN}/{PROFILE}/self", CID, value, at(30))


@dataclass(slots=True)
class AppViewDouble:
    """Answers queries from a table by NSID, and refuses all others."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def query(self, nsid: str, params: Mapping[str, str | int]) -> Any:
        self.asked.append((nsid, dict(params)))
        if nsid not in self.answers:
            raise AppViewError(nsid)
        return self.answers[nsid]


def ann(
    *posts: LocalRecord,
    profile: LocalRecord | None = None,
    old_profile: Json | None = None,
    appview: AppViewDouble | None = None,
) -> Requester:
    """The account that asks. `old_profile` is a profile that the AppView knows."""
    standing = old_profile if profile is None else profile.value
    return Requester(ANN, "ann.test", LocalRecords(posts, profile, standing), IMAGES, appview)


def checked(nsid: str, answer: Json) -> Json:
    """The answer as a client reads it, after a look at its Lexicon."""
    read: Json = json.loads(orjson.dumps(answer, default=json_default))
    check_answer(nsid, read)
    return read
