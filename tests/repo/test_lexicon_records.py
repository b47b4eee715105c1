"""Records against the official schemas, their keys, and the constraints on their blobs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo.cid import Cid
from repo.lexicon import InvalidLexicon, default_lexicons
from tests.repo.test_lexicon_bodies import values

POST = "app.bsky.feed.post"
TID = "3jzfcijpj2z2a"
TIME = "2024-01-01T00:00:00Z"
BLOB = {"$type": "blob", "ref": Cid.of_raw(b""), "mimeType": "image/png", "size": 10}


def post(**fields: Any) -> dict[str, Any]:
    return {"$type": POST, "text": "hello", "createdAt": TIME, **fields}


def images(blob: Any) -> dict[str, Any]:
    return post(embed={"$type": "app.bsky.embed.images", "images": [{"image": blob, "alt": ""}]})


def refusal(nsid: str, rkey: str, value: Any) -> str:
    """The message with which a record is refused."""
    with pytest.raises(InvalidLexicon) as caught:
        default_lexicons().validate_record(nsid, rkey, value)
    return str(caught.value)


def test_a_good_record_is_taken() -> None:
    facet = {
        "index": {"byteStart": 0, "byteEnd": 5},
        "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com"}],
    }
    record = images(BLOB) | {"facets": [facet], "langs": ["en", "pt-BR"], "other": 1}
    default_lexicons().validate_record(POST, TID, record)
    assert refusal(POST, TID, record | {"langs": [1]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": "x" * 3001}, "string too big (maximum 3000, got 3001) at $.record.text"),
        ({"text": "é" * 1501}, "string too big (maximum 3000, got 3002) at $.record.text"),
        ({"text": "x" * 301}, "grapheme too big (maximum 300, got 301) at $.record.text"),
        ({"text": "é" * 301}, "grapheme too big (maximum 300, got 301) at $.record.text"),
        ({"text": None}, "Expected string value type (got null) at $.record.text"),
        ({"tags": ["a"] * 9}, "array too big (maximum 8, got 9) at $.record.tags"),
        ({"langs": "en"}, 'Expected array value type (got "en") at $.record.langs'),
        ({"langs": ["a-DE"]}, 'Invalid language (got "a-DE") at $.record.langs[0]'),
        ({"createdAt": "now"}, 'Invalid datetime (got "now") at $.record.createdAt'),
        ({"reply": {}}, 'Missing required key "root" at $.record.reply'),
        ({"reply": {"root": {"uri": "x"}}}, 'Invalid at-uri (got "x") at $.record.reply.root.uri'),
        ({"embed": {"$type": 1}}, "Expected string value type (got 1) at $.record.embed.$type"),
        (
            {"reply": {"$type": "a.b.c"}},
            f'Expected "{POST}#replyRef" (got "a.b.c") at $.record.reply.$type',
        ),
        (
            {"facets": [{"index": {"byteStart": -1}}]},
            "integer too small (minimum 0, got -1) at $.record.facets[0].index.byteStart",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_path(fields: dict[str, Any], message: str) -> None:
    assert refusal(POST, TID, post(**fields)) == f"Invalid {POST} record: {message}"


def test_graphemes_are_counted_not_code_points() -> None:
    family = "👩‍👩‍👦‍👦"
    text = family * 100
    assert len(text) > 300
    default_lexicons().validate_record(POST, TID, post(text=text))


def test_the_root_of_the_path_is_the_callers() -> None:
    with pytest.raises(InvalidLexicon, match=r"at \$\.writes\[3\]\.record\.text$"):
        default_lexicons().validate_record(POST, TID, post(text=1), root="$.writes[3].record")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"text": "", "createdAt": TIME}, 'Missing required key "$type" at $.record'),
        (post() | {"$type": "a.b.c"}, f'Expected "{POST}" (got "a.b.c") at $.record.$type'),
        ([], "Expected object value type (got []) at $.record"),
    ],
)
def test_a_record_is_of_its_collections_type(value: Any, reason: str) -> None:
    assert refusal(POST, TID, value) == f"Invalid {POST} record: {reason}"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"mimeType": "text/plain"}, 'Expected "image/*" (got "text/plain") at {}.mimeType'),
        ({"size": 2_000_001}, "blob too big (maximum 2000000, got 2000001) at {}"),
        ({"size": -1}, 'Expected blob value type (got {{"$type": ..., "ref": ..., ...}}) at {}'),
        ({"size": True}, 'Expected blob value type (got {{"$type": ..., "ref": ..., ...}}) at {}'),
        ({"ref": "x"}, 'Expected blob value type (got {{"$type": ..., "ref": ..., ...}}) at {}'),
        ({"x": 1}, 'Expected blob value type (got {{"$type": ..., "ref": ..., ...}}) at {}'),
        (
            {"mimeType": ""},
            'Expected blob value type (got {{"$type": ..., "ref": ..., ...}}) at {}',
        ),
    ],
)
def test_blobs_are_checked_against_their_constraints(changed: dict[str, Any], reason: str) -> None:
    message = refusal(POST, TID, images(BLOB | changed))
    expected = reason.format("$.record.embed.images[0].image")
    assert message == f"Invalid {POST} record: {expected}"


def test_a_blob_of_several_types_names_them() -> None:
    profile = {"$type": "app.bsky.actor.profile", "avatar": BLOB | {"mimeType": "text/plain"}}
    assert refusal("app.bsky.actor.profile", "self", profile) == (
        "Invalid app.bsky.actor.profile record: "
        'Expected one of "image/png" or "image/jpeg" (got "text/plain") at $.record.avatar.mimeType'
    )


def test_legacy_blobs_are_refused() -> None:
    legacy = {"cid": str(Cid.of_raw(b"")), "mimeType": "image/png"}
    message = refusal(POST, TID, images(legacy))
    assert 'Expected blob value type (got {"cid": ..., "mimeType": ...})' in message


@pytest.mark.parametrize(
    ("nsid", "rkey", "reason"),
    [
        (POST, "abc", 'Invalid TID string (got "abc")'),
        ("app.bsky.actor.profile", "x", 'Expected "self" (got "x")'),
        ("com.atproto.lexicon.schema", "a.b", 'Invalid NSID (got "a.b")'),
        ("app.bsky.feed.generator", "a/b", 'Invalid record key (got "a/b")'),
    ],
)
def test_the_key_is_of_the_kind_the_type_asks_for(nsid: str, rkey: str, reason: str) -> None:
    assert refusal(nsid, rkey, {}) == f"Invalid record key for {nsid}: {reason} at $"


@pytest.mark.parametrize(
    "nsid",
    [
        POST,
        "app.bsky.actor.contentVisibilityDeclaration",
        "app.bsky.graph.verification",
        "app.bsky.labeler.service",
        "chat.bsky.actor.declaration",
        "com.atproto.lexicon.schema",
        "com.germnetwork.declaration",
        "site.standard.document",
        "site.standard.graph.subscription",
        "site.standard.theme.basic",
    ],
)
def test_records_of_the_network_are_known(nsid: str) -> None:
    assert default_lexicons().is_known_record(nsid)


@pytest.mark.parametrize(
    "nsid",
    [
        "com.example.note",
        "community.lexicon.calendar.event",
        "so.sprk.feed.post",
        "app.bsky.feed.defs",
        "app.bsky.feed.post#main",
        "com.atproto.repo.createRecord",
        "",
    ],
)
def test_other_types_are_not_known(nsid: str) -> None:
    assert not default_lexicons().is_known_record(nsid)
    assert refusal(nsid, TID, {}) == f"Unknown lexicon type: {nsid}"


@settings(deadline=None)  # the first example may load the schemas
@given(fields=st.dictionaries(st.sampled_from(["text", "embed", "facets", "reply"]), values))
def test_any_record_is_taken_or_refused_with_invalid_lexicon(fields: dict[str, Any]) -> None:
    with suppress(InvalidLexicon):
        default_lexicons().validate_record(POST, TID, post(**fields))
        assert type(post(**fields)["text"]) is str


def test_the_schemas_are_not_loaded_by_the_import() -> None:
    script = "import sys, repo.lexicon; sys.exit('lexrpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=False)  # noqa: S603 - our own
    assert done.returncode == 0
