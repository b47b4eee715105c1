"""DAG-CBOR in Python: the same as by cbor2, without a long call into C."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo import dagcbor, piecewise
from repo.dagcbor import MAX_DEPTH, InvalidDagCbor, Value
from repo.datamodel import json_default
from tests.repo.values import nested, values

NOT_CANONICAL = {
    "a number longer than need be": "1801",
    "a length longer than need be": "780161",
    "keys out of order": "a2616200616100",
    "a key twice": "a2616100616101",
    "a longer key before a shorter one": "a262616100616200",
    "a key that is no text": "a10000",
    "a float": "fb3ff0000000000000",
    "undefined": "f7",
    "a list without a length": "9fff",
    "a tag that is no link": "c11a00000000",
    "a link without its zero byte": "d82a4101",
    "a link to nothing": "d82a4100",
    "a tag around a number": "d82a00",
    "text that is none": "61ff",
    "an integer of 64 bits": "1bffffffffffffffff",
    "a list cut off": "8200",
    "a text cut off": "6261",
    "a number cut off": "19ff",
    "a list of more items than bytes": "9affffffff",
    "nothing": "",
    "two items": "0000",
    "a break": "ff",
}


@given(values)
def test_every_value_is_encoded_decoded_and_written_as_json_like_by_cbor2(value: Value) -> None:
    block = dagcbor.encode(value)
    assert piecewise.encode(value) == block
    assert piecewise.decode(block) == value
    decoded = dagcbor.decode(block)
    assert piecewise.json_of(block) == orjson.dumps(decoded, default=json_default)


@given(st.binary(max_size=40))
def test_what_is_not_canonical_for_cbor2_is_refused_here(block: bytes) -> None:
    try:
        value = dagcbor.decode(block)
    except InvalidDagCbor:
        with pytest.raises(InvalidDagCbor):
            piecewise.decode(block)
        with pytest.raises(InvalidDagCbor):
            piecewise.json_of(block)
    else:
        assert piecewise.decode(block) == value


@pytest.mark.parametrize("text", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_bytes_that_are_not_canonical_are_refused(text: str) -> None:
    for read in (piecewise.decode, piecewise.json_of, dagcbor.decode):
        with pytest.raises(InvalidDagCbor):
            read(bytes.fromhex(text))


def test_nesting_ends_where_it_does_for_cbor2() -> None:
    deepest = dagcbor.encode(nested(MAX_DEPTH))
    assert piecewise.encode(piecewise.decode(deepest)) == deepest
    for read in (piecewise.decode, piecewise.json_of):
        with pytest.raises(InvalidDagCbor, match="deeper"):
            read(b"\x81" + deepest)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidDagCbor):
        piecewise.encode("\ud800")
    with pytest.raises(InvalidDagCbor):
        piecewise.encode({"\ud800": 1})
