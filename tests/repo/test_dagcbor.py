"""DAG-CBOR: one byte string per value, two codecs that agree, and hostile bytes refused."""

from __future__ import annotations

from typing import Any

import cbor2
import libipld
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import MAX_DEPTH, InvalidDagCbor, Value
from tests.repo.values import cids, nested, values

LINK = Cid.of_raw(b"blob")


@given(values)
def test_decode_is_the_inverse_of_encode(value: Value) -> None:
    block = dagcbor.encode(value)
    assert dagcbor.decode(block) == value
    assert dagcbor.decode_trusted(block) == value
    assert dagcbor.encode_checked(value) == block


@given(values)
def test_libipld_reads_what_cbor2_wrote(value: Value) -> None:
    assert libipld.decode_dag_cbor(dagcbor.encode(value)) == with_raw_links(value)


node_entries = st.fixed_dictionaries(
    {
        "p": st.integers(0, 1024),
        "k": st.binary(max_size=60).filter(lambda suffix: not suffix.startswith(b"\x01")),
        "v": cids,
        "t": st.none() | cids,
    }
)


@given(st.fixed_dictionaries({"l": st.none() | cids, "e": st.lists(node_entries, max_size=12)}))
def test_both_codecs_write_the_same_mst_nodes(node: dict[str, Any]) -> None:
    block = dagcbor.encode(node)
    assert libipld.encode_dag_cbor(with_raw_links(node)) == block
    assert libipld.decode_dag_cbor(block) == with_raw_links(node)


def test_map_keys_are_sorted_by_length_and_then_by_bytes() -> None:
    block = dagcbor.encode({"bb": 1, "a": 2, "é": 3, "c": 4, "aaa": 5})
    decoded = dagcbor.decode(block)
    assert isinstance(decoded, dict)
    assert list(decoded) == ["a", "c", "bb", "é", "aaa"]


def test_a_byte_string_that_looks_like_a_cid_stays_a_byte_string() -> None:
    assert dagcbor.decode(dagcbor.encode([LINK.raw, LINK])) == [LINK.raw, LINK]


@pytest.mark.parametrize("leaf", [1, b"", LINK, "text"])
def test_the_deepest_value_that_is_encoded_is_decoded(leaf: Value) -> None:
    value = nested(MAX_DEPTH, leaf)
    assert dagcbor.decode(dagcbor.encode(value)) == value
    with pytest.raises(InvalidDagCbor):
        dagcbor.encode([value])
    with pytest.raises(InvalidDagCbor):
        dagcbor.decode(b"\x81" + dagcbor.encode(value))


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        2**53,
        -(2**53),
        2**63,
        10**5000,
        (1, 2),
        {1: 2},
        {b"a": 1},
        {"a": {None: 1}},
        object(),
        bytearray(b"x"),
        "\ud800",
        {"\udfff": 1},
        [{"a": [1.5]}],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_of_the_data_model_is_not_encoded(value: Any) -> None:
    with pytest.raises(InvalidDagCbor):
        dagcbor.encode(value)


@pytest.mark.parametrize(
    "block",
    [
        "",
        "0101",  # a second item
        "1800",  # a longer integer than need be
        "190001",
        "1bffffffffffffffff",  # beyond 63 bits
        "3bffffffffffffffff",
        "5f4101ff",  # indefinite lengths
        "9f01ff",
        "bf616101ff",
        "a2626262016161 02",  # keys out of order
        "a2616101616102",  # a key twice
        "a10102",  # keys that are no text
        "a1416101",
        "a1f601",
        "61ff",  # not UTF-8
        "63eda080",
        "f93e00",  # floats
        "fa3fc00000",
        "fb3ff8000000000000",
        "f97e00",
        "f7",  # undefined, simple values, break
        "e0",
        "f820",
        "ff",
        "1c",
        "d82a",  # links that are none
        "d82a6161",
        "d82a40",
        "d82a4100",
        "d82a420171",
        "d82a582500" + "00" * 36,
        "d82a5824" + Cid.of_raw(b"").raw.hex(),
        "9b7fffffffffffffff",  # lengths without content
        "bb7fffffffffffffff",
        "7b7fffffffffffffff",
        "5a7fffffff",
    ],
)
def test_bytes_that_are_not_canonical_are_refused(block: str) -> None:
    with pytest.raises(InvalidDagCbor):
        dagcbor.decode(bytes.fromhex(block))


def test_links_have_the_only_tag() -> None:
    for tag in (*range(70_000), 2**32, 2**64 - 1):
        if tag != 42:
            with pytest.raises(InvalidDagCbor):
                dagcbor.decode_trusted(cbor2.dumps(cbor2.CBORTag(tag, b"")))


def test_shared_values_cannot_blow_up_a_small_block() -> None:
    doubled = [b"\xd8\x1c\x81\x01"]
    for number in range(40):
        reference = b"\xd8\x1d" + cbor2.dumps(number)
        doubled.append(b"\xd8\x1c\x82" + reference + reference)
    with pytest.raises(InvalidDagCbor):
        dagcbor.decode(b"\x98\x29" + b"".join(doubled))


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x61a", b"\xd8\x2a", b"\xc1"])
def test_endless_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(InvalidDagCbor):
        dagcbor.decode(opening * 100_000)


@given(st.binary(max_size=60))
def test_any_bytes_are_one_canonical_value_or_invalid(block: bytes) -> None:
    try:
        value = dagcbor.decode(block)
    except InvalidDagCbor:
        return
    assert dagcbor.encode(value) == block


@given(values, st.data())
def test_a_damaged_block_is_another_value_or_invalid(value: Value, data: st.DataObject) -> None:
    block = bytearray(dagcbor.encode(value))
    block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = dagcbor.decode(bytes(block))
    except InvalidDagCbor:
        return
    assert dagcbor.encode(decoded) == block


def with_raw_links(value: Value) -> Any:
    """The value as libipld has it: links are their bytes."""
    if isinstance(value, Cid):
        return value.raw
    if isinstance(value, list):
        return [with_raw_links(child) for child in value]
    if isinstance(value, dict):
        return {key: with_raw_links(child) for key, child in value.items()}
    return value
