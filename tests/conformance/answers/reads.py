"""com.atproto.repo: getRecord, listRecords, describeRepo."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

NOTE = "com.example.note"
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
NO_RECORD = "bafyreicraprx2xwnico4tuqir3ozsxpz46qkcpox3obf5bagicqwurghpy"


def _note(rkey: str) -> Case:
    body = {"repo": "<ann>", "collection": NOTE, "rkey": rkey, "record": {"of": rkey}}
    return call(f"create {rkey}", "com.atproto.repo.createRecord", body, "ann")


def _get(name: str, **params: Any) -> Case:
    return query(name, "com.atproto.repo.getRecord", **params)


def _list(name: str, **params: Any) -> Case:
    wanted = {"repo": "<ann>", "collection": NOTE, **params}
    return query(name, "com.atproto.repo.listRecords", **wanted)


TOPIC = Topic(
    "reads",
    ("ann", "ben"),
    (
        _note("one"),
        _note("two"),
        _note("three"),
        _get("a record", repo="<ann>", collection=NOTE, rkey="one"),
        _get("a record by handle", repo="ann-reads.test", collection=NOTE, rkey="one"),
        _get("a record that is not there", repo="<ann>", collection=NOTE, rkey="nope"),
        _get(
            "another version of a record", repo="<ann>", collection=NOTE, rkey="one", cid=NO_RECORD
        ),
        _get("no key", repo="<ann>", collection=NOTE),
        _get("no parameters"),
        _get("a collection that is none", repo="<ann>", collection="x", rkey="one"),
        _get("a record of a stranger", repo=STRANGER, collection=NOTE, rkey="one"),
        _list("list"),
        _list("list in reverse", reverse="true"),
        _list("a first page", limit=2),
        _list("a page behind a cursor", limit=2, cursor="two"),
        _list("a cursor behind the last", cursor="aaa"),
        _list("an empty collection", collection="com.example.empty"),
        _list("list a stranger", repo=STRANGER),
        query("describe", "com.atproto.repo.describeRepo", repo="<ann>"),
        query("describe an empty repository", "com.atproto.repo.describeRepo", repo="<ben>"),
        query("describe a stranger", "com.atproto.repo.describeRepo", repo=STRANGER),
        query("describe an unknown handle", "com.atproto.repo.describeRepo", repo="nobody.test"),
    ),
)
