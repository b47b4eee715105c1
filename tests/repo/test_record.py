"""Records from outside: the fast check of a block always agrees with the thorough one."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import MAX_DEPTH, InvalidDagCbor, Value
from repo.mst import build_blocks
from repo.record import MAX_RECORD_BYTES, InvalidRecord, decode_record, has_node_form
from tests.repo.mst_support import KEYS, VALUES
from tests.repo.values import keys, nested, values

maps = st.dictionaries(keys, values, max_size=4)
POST: dict[str, Value] = {"$type": "app.bsky.feed.post", "text": "hello", "langs": ["en"]}


def judge(block: bytes) -> Value | None:
    """Decode with `dagcbor` alone; return None if the block is not a record."""
    try:
        value = dagcbor.decode(block)
    except InvalidDagCbor:
        return None
    return value if type(value) is dict and not has_node_form(block) else None


def same(found: Value, expected: Value) -> bool:
    """Whether two values are equal, including the types of their parts."""
    return repr(found) == repr(expected)


def check(block: bytes) -> None:
    """Compare the result for a block with that of `judge`."""
    expected = judge(block)
    if expected is None:
        with pytest.raises(InvalidRecord):
            decode_record(block)
    else:
        assert same(decode_record(block), expected)


@given(maps)
def test_every_record_is_decoded_to_what_was_encoded(record: dict[str, Value]) -> None:
    block = dagcbor.encode(record)
    assert same(decode_record(block), dagcbor.decode(block))


@settings(max_examples=400)
@given(maps, st.integers(0, 10_000), st.binary(max_size=3))
def test_a_damaged_record_is_judged_as_by_the_thorough_decoder(
    record: dict[str, Value], at: int, damage: bytes
) -> None:
    block = dagcbor.encode({**POST, **record})
    at %= len(block)
    check(block[:at] + damage + block[at + 1 :])


@given(st.binary(max_size=6))
def test_any_small_value_is_judged_as_by_the_thorough_decoder(value: bytes) -> None:
    check(b"\xa1aa" + value)


@pytest.mark.parametrize(
    "value",
    [
        *(1.5, float("nan"), 2**53, -(2**53), 2**63, cbor2.CBORTag(1, 0)),
        *(cbor2.undefined, {1: 2}, cbor2.CBORTag(42, b"\x00\x12\x20" + bytes(32))),
    ],
)
def test_what_has_no_place_in_the_data_model_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRecord):
        decode_record(cbor2.dumps({"a": value}, canonical=True))


@pytest.mark.parametrize(
    "value", [2**53 - 1, 1 - 2**53, Cid.of_raw(b"").raw, Cid.of_raw(b""), "\u062f; \x1b", b"\xfb"]
)
def test_rare_values_are_taken(value: Value) -> None:
    assert decode_record(dagcbor.encode({"a": value})) == {"a": value}


def test_the_deepest_record_is_taken_and_a_deeper_one_refused() -> None:
    deepest = dagcbor.encode({"a": nested(MAX_DEPTH - 1)})
    assert decode_record(deepest) == {"a": nested(MAX_DEPTH - 1)}
    for depth in (MAX_DEPTH, 1_000, 500_000):
        with pytest.raises(InvalidRecord):
            decode_record(b"\xa1aa" + b"\x81" * depth + b"\x01")


def test_the_largest_record_is_taken_and_a_larger_one_refused() -> None:
    largest = dagcbor.encode({"a": "x" * (MAX_RECORD_BYTES - 8)})
    assert len(largest) == MAX_RECORD_BYTES
    assert decode_record(largest)
    with pytest.raises(InvalidRecord, match="1000001 bytes"):
        decode_record(dagcbor.encode({"a": "x" * (MAX_RECORD_BYTES - 7)}))


@pytest.mark.parametrize("value", [[POST], "text", 1, None, True, b"bytes", VALUES[0]])
def test_only_a_map_is_a_record(value: Value) -> None:
    with pytest.raises(InvalidRecord, match="not a map"):
        decode_record(dagcbor.encode(value))


def test_nodes_are_recognised_and_are_no_records() -> None:
    nodes = [block for _, block in build_blocks([(key, VALUES[0]) for key in KEYS])]
    for block in (*nodes, dagcbor.encode({"e": [], "l": None})):
        assert has_node_form(block)
        with pytest.raises(InvalidRecord, match="form of a tree node"):
            decode_record(block)
    others: list[Value] = [{"$type": "a.b.c", "e": 1}, {"e": [], "l": 1}, {"e": [], "m": None}]
    for record in others:
        assert decode_record(dagcbor.encode(record)) == record
