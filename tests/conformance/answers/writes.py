"""com.atproto.repo: createRecord, putRecord, deleteRecord, applyWrites."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

POST = "app.bsky.feed.post"
PROFILE = "app.bsky.actor.profile"
FOLLOW = "app.bsky.graph.follow"
NOTE = "com.example.note"
CREATED = "2026-01-01T00:00:00.000Z"
NO_BLOB = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
BLOB = {"$type": "blob", "ref": {"$link": NO_BLOB}, "mimeType": "image/jpeg", "size": 10_000}
KEEP_CID = {"first": ("cid",)}


def _post(text: str | None = "hi", **changes: Any) -> dict[str, Any]:
    record = {"$type": POST, "text": text, "createdAt": CREATED, **changes}
    return {key: value for key, value in record.items() if value is not None}


def _write(name: str, method: str, collection: str, as_: str | None = "ann", **body: Any) -> Case:
    nsid = f"com.atproto.repo.{method}"
    return call(name, nsid, {"repo": "<ann>", "collection": collection, **body}, as_)


def _create(
    name: str, record: Any, collection: str = POST, as_: str | None = "ann", **body: Any
) -> Case:
    return _write(name, "createRecord", collection, as_, record=record, **body)


def _note(name: str, record: Any, **body: Any) -> Case:
    return _create(name, record, NOTE, **body)


def _put(name: str, value: int, **body: Any) -> Case:
    return _write(name, "putRecord", NOTE, rkey="n1", record={"v": value}, **body)


def _apply(name: str, *writes: dict[str, Any], **body: Any) -> Case:
    nsid = "com.atproto.repo.applyWrites"
    return call(name, nsid, {"repo": "<ann>", "writes": list(writes), **body}, "ann")


def _op(action: str, rkey: str | None = "a", collection: str = NOTE, **more: Any) -> dict[str, Any]:
    op = {"$type": f"com.atproto.repo.applyWrites#{action}", "collection": collection, **more}
    return op if rkey is None else {**op, "rkey": rkey}


FOLLOWING = {"$type": FOLLOW, "subject": "<ben>", "createdAt": CREATED}

TOPIC = Topic(
    "writes",
    ("ann", "ben"),
    (
        call(
            "create",
            "com.atproto.repo.createRecord",
            {"repo": "<ann>", "collection": POST, "record": _post()},
            "ann",
            keep=KEEP_CID,
        ),
        _create("create by handle", _post(), repo="ann-writes.test"),
        _create("create by nobody", _post(), as_=None),
        _create("create by another", _post(), as_="ben"),
        _create("another type", _post(**{"$type": "app.bsky.feed.like"})),
        _create("no type", {"text": "hi", "createdAt": CREATED}),
        _create("no text", _post(None)),
        _create("a date that is none", _post(createdAt="yesterday")),
        _create("too many bytes", _post("x" * 3001)),
        _create("too many graphemes", _post("x" * 301)),
        _note("an unknown collection", {"a": 1}),
        _note("an unknown collection, validated", {"a": 1}, validate=True),
        _create("an invalid record, not validated", {"a": 1}, validate=False),
        _note("a fraction", {"a": 1.5}),
        _note("a fraction deep down", {"a": [1, {"b": 1.5}]}),
        _note("the largest integer", {"a": 2**53 - 1}),
        _note("an integer beyond 2^53 - 1", {"a": 2**53}),
        _create("upper case in an authority", {"a": 1}, "Com.example.note"),
        _note("a link that is none", {"a": {"$link": "nope"}}),
        _note("bytes that are none", {"a": {"$bytes": "!!"}}),
        _note("a slash in the key", {"a": 1}, rkey="a/b"),
        _note("a key of dots", {"a": 1}, rkey=".."),
        _create("a key that is no TID", _post(), rkey="abc"),
        _create("a profile under a TID", {"displayName": "x"}, PROFILE),
        _create("a profile", {"displayName": "x"}, PROFILE, rkey="self"),
        _create("a record that exists", {"displayName": "y"}, PROFILE, rkey="self"),
        _create("a collection that is none", {"a": 1}, "nope"),
        _note("a swap with no CID", {"a": 1}, swapCommit="zzz"),
        _note("a swap with another commit", {"a": 1}, swapCommit="<first>"),
        _note("a record that is text", "x"),
        _note("a blob of the old form", {"b": {"cid": NO_BLOB, "mimeType": "image/png"}}),
        _note("a blob that is not here", {"b": BLOB}),
        _create(
            "a picture of another kind",
            {"avatar": {**BLOB, "mimeType": "text/plain"}},
            PROFILE,
            rkey="self",
        ),
        _create(
            "a picture that is too large",
            {"avatar": {**BLOB, "size": 10_000_000}},
            PROFILE,
            rkey="self",
        ),
        _note("a body that is too large", {"a": "x" * 1_000_001}),
        _put("put a new record", 1),
        call(
            "put another value",
            "com.atproto.repo.putRecord",
            {"repo": "<ann>", "collection": NOTE, "rkey": "n1", "record": {"v": 2}},
            "ann",
            keep={"second": ("cid",)},
        ),
        _put("put the same value", 2),
        _put("put where there must be none", 3, swapRecord=None),
        _put("put on another record", 3, swapRecord="<first>"),
        _put("put on the right record", 3, swapRecord="<second>"),
        _write("put without a key", "putRecord", NOTE, record={"v": 3}),
        _write("delete what is not there", "deleteRecord", NOTE, rkey="zz"),
        _write("delete another record", "deleteRecord", NOTE, rkey="n1", swapRecord="<first>"),
        _write("delete", "deleteRecord", NOTE, rkey="n1"),
        _apply(
            "a batch",
            _op("create", value={"v": 1}),
            _op("create", None, POST, value=_post("batch")),
        ),
        _apply("update and delete in one batch", _op("update", value={"v": 2}), _op("delete")),
        _apply("create in a batch", _op("create", "b", value={"v": 2})),
        _apply("update in a batch", _op("update", "b", value={"v": 3})),
        _apply("delete in a batch what is not there", _op("delete", "zz")),
        _apply("an empty batch"),
        _apply("an update that changes nothing", _op("update", "b", value={"v": 3})),
        _apply("a large batch", *[_op("create", None, value={"v": n}) for n in range(201)]),
        _apply("an unknown operation", _op("frob")),
        _apply("an operation without a type", {"collection": NOTE, "rkey": "a"}),
        _apply("an invalid record in a batch", _op("create", None, POST, value={"a": 1})),
        _apply("a fraction in a batch", _op("create", None, value={"a": 1.5})),
        _create("follow", FOLLOWING, FOLLOW),
        _create("follow again", FOLLOWING, FOLLOW),
        query("one follow", "com.atproto.repo.listRecords", repo="<ann>", collection=FOLLOW),
    ),
)
