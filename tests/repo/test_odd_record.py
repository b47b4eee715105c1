"""Odd records: why they are, and what can still be read of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import MAX_DEPTH, Value
from repo.datamodel import BlobRef, iter_blob_refs, json_default
from repo.odd_record import find_oddity, read_kept
from repo.record import InvalidRecord, decode_record
from tests.repo.odd_records import NOT_SHOWN, NOTE, ODD, SHOWN, any_blocks, deep, odd
from tests.repo.values import keys, values

BLOB = Cid.of_raw(b"blob")


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_told(name: str) -> None:
    reason = find_oddity(ODD[name], NOTE)
    assert reason
    assert len(reason) < 300


@given(keys, values)
def test_what_a_client_may_write_is_not_odd(key: str, value: Value) -> None:
    block = dagcbor.encode({"$type": NOTE, key: value})
    assert find_oddity(block, NOTE) is None
    assert find_oddity(block) is None
    assert read_kept(block) == decode_record(block)


def test_a_collection_with_upper_case_in_its_authority_is_odd() -> None:
    block = dagcbor.encode({})
    assert find_oddity(block, "App.bsky.feed.post") is not None
    assert find_oddity(block, "app.bsky.feed.fooBar") is None


@pytest.mark.parametrize("name", SHOWN)
def test_an_odd_record_is_read_for_what_it_says(name: str) -> None:
    block, expected = SHOWN[name]
    shown = orjson.loads(orjson.dumps(read_kept(block), default=json_default))
    assert shown == {"a": expected, "$type": NOTE}


@pytest.mark.parametrize("name", NOT_SHOWN)
def test_what_cannot_be_shown_says_so(name: str) -> None:
    with pytest.raises((InvalidRecord, TypeError)):
        orjson.dumps(read_kept(NOT_SHOWN[name]), default=json_default)


def test_a_record_deeper_than_any_client_may_write_is_read() -> None:
    for depth in (MAX_DEPTH, 200, 240):
        assert find_oddity(deep(depth)) is not None
        json = orjson.dumps(read_kept(deep(depth)), default=json_default)
        assert json.startswith(b'{"a":' + b"[" * depth + b"0]")


@settings(max_examples=500)
@given(any_blocks)
def test_any_bytes_are_read_or_refused(block: bytes) -> None:
    try:
        value = read_kept(block)
        list(iter_blob_refs(value))
        orjson.dumps(value, default=json_default)
    except (InvalidRecord, TypeError):
        assert find_oddity(block) is not None


def blob(**more: Any) -> dict[str, Any]:
    return {"$type": "blob", "ref": BLOB, "mimeType": "image/png", "size": 9, **more}


def test_an_odd_record_refers_to_its_blobs() -> None:
    plain = dagcbor.encode({"a": 1, "blob": blob()})
    for value in (b"\xfb" + bytes(8), b"\xf7", b"\x63\xed\xa0\x80", b"\x1b" + b"\xff" * 8):
        block = plain.replace(b"aa\x01", b"aa" + value)
        assert find_oddity(block)
        assert list(iter_blob_refs(read_kept(block))) == [BlobRef(BLOB, "image/png", 9)]


@pytest.mark.parametrize(
    ("size", "claimed"), [(b"\xfb\x40\x22" + bytes(6), 9), (b"\x1b" + b"\xff" * 8, -1)]
)
def test_a_size_may_be_odd_itself(size: bytes, claimed: int) -> None:
    block = dagcbor.encode({"blob": blob()}).replace(b"dsize\x09", b"dsize" + size)
    assert list(iter_blob_refs(read_kept(block))) == [BlobRef(BLOB, "image/png", claimed)]


def test_a_link_of_version_0_is_no_blob() -> None:
    block = odd(
        b"\xa4cref\xd8\x2a\x58\x23\x00\x12\x20" + b"a" * 32 + b"dsize\x09e$typedblobhmimeTypeax"
    )
    assert read_kept(block)["a"]["$type"] == "blob"
    assert list(iter_blob_refs(read_kept(block))) == []
