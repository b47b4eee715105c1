"""What a page says of a record is bounded, and says what there is."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from pds.web.browse.record_text import JSON_SHOWN_CHARACTERS, json_of, preview_of, text_of
from repo.cid import Cid
from repo.dagcbor import MAX_DEPTH
from repo.datamodel import json_default

CID = Cid.of_raw(b"something")


@pytest.mark.parametrize(
    "value",
    [
        {"text": "two\nlines", "link": CID, "bytes": b"\0\xff", "list": [1, None, True, {}]},
        {"text": "\u202eturned\u2066 \u200b\ufeff", "\u2069": "\U0001f469\u200d\U0001f680"},
        [],
        "text",
    ],
)
def test_the_json_is_that_of_the_record(value: Any) -> None:
    text, is_whole = json_of(value)
    assert is_whole
    assert json.loads(text) == json.loads(orjson.dumps(value, default=json_default))


def test_joiners_stay_and_what_turns_text_around_is_escaped() -> None:
    text, _ = json_of({"text": "\U0001f469\u200d\U0001f680 \u202e"})
    assert "\U0001f469\u200d\U0001f680 \\u202e" in text


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [{"text": "x" * 1_000_000}, nested([0] * 500_000, MAX_DEPTH - 2), {"b": bytes(900_000)}],
    ids=["one text", "deep", "bytes"],
)
def test_a_large_record_is_cut(value: Any) -> None:
    text, is_whole = json_of(value)
    assert not is_whole
    assert len(text) == JSON_SHOWN_CHARACTERS
    assert len(preview_of(value)) <= 200
    assert len(text_of(value) or "") <= 10_000


def test_a_record_just_short_enough_is_whole() -> None:
    frame = len(json_of("")[0])
    text = "x" * (JSON_SHOWN_CHARACTERS - frame)
    assert json_of(text) == (f'"{text}"', True)
    assert json_of(text + "x") == (f'"{text}x', False)


@pytest.mark.parametrize(
    ("value", "preview"),
    [
        ({"title": "a title", "text": "a text"}, "a text"),
        ({"text": " ", "name": "a name"}, "a name"),
        ({"text": 1, "subject": CID}, '{"text":1,"subject":{"$link":"' + str(CID) + '"}}'),
        ({"text": "x" * 300}, "x" * 199 + "…"),
        ([1], "[1]"),
    ],
)
def test_a_preview_is_what_a_record_says_or_its_json(value: Any, preview: str) -> None:
    assert preview_of(value) == preview
