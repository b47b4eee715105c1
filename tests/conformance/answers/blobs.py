"""Blobs: uploading, referring, fetching."""

from __future__ import annotations

import base64
from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PROFILE = "app.bsky.actor.profile"
NOTE = "com.example.note"


def _upload(
    name: str, body: bytes, content_type: str | None, as_: str | None = "ann", **more: Any
) -> Case:
    headers = {} if content_type is None else {"Content-Type": content_type}
    return call(name, "com.atproto.repo.uploadBlob", body, as_, headers=headers, **more)


def _note(name: str, rkey: str, **blob: Any) -> Case:
    reference = {"$type": "blob", "ref": {"$link": "<blob>"}, "mimeType": "image/png", "size": 70}
    body = {"repo": "<ann>", "collection": NOTE, "rkey": rkey, "record": {"b": reference | blob}}
    return call(name, "com.atproto.repo.createRecord", body, "ann")


TOPIC = Topic(
    "blobs",
    ("ann",),
    (
        _upload("a picture", PNG, "image/png", keep={"blob": ("blob", "ref", "$link")}),
        _upload("a picture said to be text", PNG, "text/plain"),
        _upload("text", b"hello", "text/plain; charset=utf-8"),
        _upload("JSON", b'{"a":1}', "application/json"),
        _upload("any type", b"hello2", "*/*"),
        _upload("nothing", b"", "image/png"),
        _upload("no type", b"hi", None),
        _upload("upload by nobody", b"hi", "image/png", None),
        query("before it is used", "com.atproto.sync.getBlob", did="<ann>", cid="<blob>"),
        _note("another size", "size", size=5),
        _note("another type", "type", mimeType="image/jpeg"),
        _note("the right reference", "right"),
        query("once it is used", "com.atproto.sync.getBlob", did="<ann>", cid="<blob>"),
        query("blobs", "com.atproto.sync.listBlobs", did="<ann>"),
        call(
            "delete its record",
            "com.atproto.repo.deleteRecord",
            {"repo": "<ann>", "collection": NOTE, "rkey": "right"},
            "ann",
        ),
        query("no blobs", "com.atproto.sync.listBlobs", did="<ann>"),
    ),
)
