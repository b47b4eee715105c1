"""The JSON form: the public vectors, round trips, and refusals that name the place."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import MAX_DEPTH, Value
from repo.datamodel import (
    BlobRef,
    InvalidDataModel,
    find_legacy_blob,
    from_json,
    iter_blob_refs,
    iter_legacy_blobs,
    json_default,
)
from tests.repo.interop import vectors
from tests.repo.values import nested, to_json, unpadded, values

LINK = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"
CID = Cid.parse(LINK)
BLOB = {"$type": "blob", "ref": {"$link": LINK}, "mimeType": "image/png", "size": 7}


# --- public vectors ---


@pytest.mark.parametrize("vector", vectors("data-model/data-model-fixtures.json"))
def test_fixtures_have_their_bytes_and_cid(vector: dict[str, Any]) -> None:
    value = from_json(vector["json"])
    block = dagcbor.encode(value)
    assert block == unpadded(vector["cbor_base64"])
    assert str(Cid.of_dag_cbor(block)) == vector["cid"]
    assert to_json(dagcbor.decode(block)) == vector["json"]


@pytest.mark.parametrize(
    "vector", vectors("data-model/data-model-valid.json"), ids=lambda vector: vector["note"]
)
def test_valid_vectors_are_accepted(vector: dict[str, Any]) -> None:
    value = from_json(vector["json"])
    assert to_json(value) == vector["json"]
    assert dagcbor.decode(dagcbor.encode(value)) == value


@pytest.mark.parametrize(
    "vector", vectors("data-model/data-model-invalid.json"), ids=lambda vector: vector["note"]
)
def test_invalid_vectors_are_refused(vector: dict[str, Any]) -> None:
    if vector["note"] == "top-level not an object":
        # A value on its own is of the data model; that a record is an object is for its caller.
        assert not isinstance(from_json(vector["json"]), dict)
        return
    with pytest.raises(InvalidDataModel):
        from_json(vector["json"])


# --- round trips ---


@given(values)
def test_from_json_is_the_inverse_of_to_json(value: Value) -> None:
    assert from_json(to_json(value)) == value


def test_conversion_leaves_its_input_alone() -> None:
    given_json = {"a": [{"$link": LINK}, 2.0]}
    value = from_json(given_json)
    assert given_json == {"a": [{"$link": LINK}, 2.0]}
    assert value == {"a": [CID, 2]}
    assert value == {"a": [CID, 2]}


def test_bytes_are_written_without_padding_and_read_with_or_without() -> None:
    for data, text in (
        (b"", ""),
        (b"a", "YQ"),
        (b"ab", "YWI"),
        (b"abc", "YWJj"),
        (b"\xfb\xff", "+/8"),
    ):
        assert to_json(data) == {"$bytes": text}
        assert from_json({"$bytes": text}) == data
        assert from_json({"$bytes": text + "=" * (-len(text) % 4)}) == data


@pytest.mark.parametrize(
    ("number", "expected"), [(123.0, 123), (-0.0, 0), (1e15, 10**15), (2.0**53 - 1, 2**53 - 1)]
)
def test_floats_that_are_integers_become_integers(number: float, expected: int) -> None:
    value = from_json(number)
    assert type(value) is int
    assert value == expected


# --- refusals ---


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1.5, "1.5"),
        (-0.1, "-0.1"),
        (1e20, "1e+20"),
        (2.0**53 + 2, "9007199254740994.0"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (float("nan"), "NaN"),
    ],
)
def test_floats_are_refused_as_the_reference_words_it(number: float, shown: str) -> None:
    with pytest.raises(InvalidDataModel) as error:
        from_json({"a": number}, path="$.record")
    assert str(error.value) == (
        "Expected one of null, boolean, integer, string, cid, bytes, array or object value type"
        f" (got {shown}) at $.record.a"
    )


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (1.5, "$"),
        ([0, [0, 0, 1.5]], "$[1][2]"),
        ({"a b": {"c-d": [1.5]}}, '$["a b"]["c-d"][0]'),
        ({'q"\\': 1.5}, '$["q\\"\\\\"]'),
        ({"": 1.5}, '$[""]'),
        ({"écru": 1.5}, '$["écru"]'),
        ({"$a_1": {"b": 1.5}}, "$.$a_1.b"),
        ({"a": {"$link": "."}}, "$.a"),
        ([{"$type": ""}], "$[0]"),
    ],
)
def test_refusals_name_the_path(value: object, path: str) -> None:
    with pytest.raises(InvalidDataModel) as error:
        from_json(value)
    assert error.value.path == path
    assert str(error.value).endswith(f" at {path}")


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -(2**53),
        2.0**53,
        2**63,
        10**5000,
        b"raw",
        (1, 2),
        CID,
        object(),
        {"$link": None},
        {"$link": 1},
        {"$link": ""},
        {"$link": "."},
        {"$link": LINK.upper()},
        {"$link": {"$link": LINK}},
        {"$link": LINK, "other": 1},
        {"$link": LINK, "$bytes": "AAAA"},
        {"$bytes": None},
        {"$bytes": [1, 2]},
        {"$bytes": "AAAA", "other": 1},
        {"$bytes": "A"},
        {"$bytes": "AA="},
        {"$bytes": "AA==="},
        {"$bytes": "="},
        {"$bytes": "AA==AA=="},
        {"$bytes": "A A"},
        {"$bytes": "AAAA\n"},
        {"$bytes": "_-8"},
        {"$bytes": "é"},
        {"$type": None},
        {"$type": 1},
        {"$type": True},
        {"$type": ""},
        {"$type": ["a"]},
        {"$type": "blob"},
        {**BLOB, "ref": LINK},
        {**BLOB, "ref": {"$bytes": "AAAA"}},
        {**BLOB, "ref": None},
        {**BLOB, "mimeType": 1},
        {**BLOB, "size": "7"},
        {**BLOB, "size": True},
        {**BLOB, "size": 7.5},
    ],
    ids=lambda value: json.dumps(value)[:60] if type(value) is dict else type(value).__name__,
)
def test_misshapen_values_are_refused_at_any_depth(value: object) -> None:
    for placed in (value, {"a": value}, [[value]]):
        with pytest.raises(InvalidDataModel):
            from_json(placed)


@pytest.mark.parametrize("leaf", [1, {"$link": LINK}, {"$bytes": "AAAA"}])
def test_depth_is_bounded_as_in_dag_cbor(leaf: Any) -> None:
    deepest = nested(MAX_DEPTH, leaf)
    value = from_json(deepest)
    assert to_json(dagcbor.decode(dagcbor.encode(value))) == deepest
    too_deep: Any
    for too_deep in ([deepest], {"a": deepest}, nested(sys.getrecursionlimit() * 20, leaf)):
        with pytest.raises(InvalidDataModel, match="deeper than 128"):
            from_json(too_deep)


def test_what_is_not_of_the_data_model_is_not_written() -> None:
    with pytest.raises(TypeError):
        json_default(object())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["$link", "$bytes", "$type", "ref", "mimeType", "size", "cid"])
            | st.text(max_size=4),
            children | st.sampled_from(["blob", LINK, "AAAA"]),
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_json_is_encodable_or_invalid(value: object) -> None:
    try:
        converted = from_json(json.loads(json.dumps(value)))
    except InvalidDataModel:
        return
    list(iter_blob_refs(converted))
    find_legacy_blob(converted)
    try:
        block = dagcbor.encode(converted)
    except dagcbor.InvalidDagCbor:
        # Python's json lets half a surrogate pair through, which orjson does not.
        assert "\\ud" in json.dumps(value)
        return
    assert dagcbor.decode(block) == converted
    assert from_json(to_json(converted)) == converted


# --- blobs ---


def test_blob_refs_are_found_at_any_depth_in_order() -> None:
    value = from_json(
        {"a": {**BLOB, "size": 1}, "b": [{"c": {**BLOB, "size": 2}}, {**BLOB, "size": 3}], "d": 4}
    )
    refs = list(iter_blob_refs(value))
    assert refs == [BlobRef(CID, "image/png", size) for size in (1, 2, 3)]
    assert list(iter_blob_refs(from_json(BLOB))) == [BlobRef(CID, "image/png", 7)]


def test_blobs_with_more_fields_are_still_blobs() -> None:
    value = from_json({**BLOB, "alt": "x", "thumb": {**BLOB, "size": 8}})
    assert [ref.size for ref in iter_blob_refs(value)] == [7, 8]


@pytest.mark.parametrize(
    "value",
    [
        {"$type": "blob", "ref": CID, "mimeType": "image/png"},
        {"$type": "blob", "ref": LINK, "mimeType": "image/png", "size": 7},
        {"$type": "blobs", "ref": CID, "mimeType": "image/png", "size": 7},
        {"ref": CID, "mimeType": "image/png", "size": 7},
        [CID, b"", 1, None, "blob"],
    ],
)
def test_what_an_import_brings_in_other_shapes_is_no_blob_ref(value: Value) -> None:
    assert list(iter_blob_refs(value)) == []


def test_a_legacy_blob_is_a_cid_and_a_media_type_and_nothing_else() -> None:
    legacy: dict[str, Value] = {"cid": LINK, "mimeType": "image/png"}
    assert find_legacy_blob(legacy) == LINK
    assert find_legacy_blob([{"a": [1, legacy]}]) == LINK
    others: list[Value] = [
        {**legacy, "size": 1},
        {"cid": LINK},
        {"cid": "no cid", "mimeType": "image/png"},
        {"cid": CID, "mimeType": "image/png"},
        {"cid": LINK, "mimeType": 1},
        "cid",
    ]
    assert find_legacy_blob(others) is None
    assert list(iter_legacy_blobs([legacy, others, {"a": legacy}])) == [LINK, LINK]


def test_walking_deep_values_does_not_recurse() -> None:
    value = nested(sys.getrecursionlimit() * 20, {"cid": LINK, "mimeType": "image/png"})
    assert find_legacy_blob(value) == LINK
    assert list(iter_blob_refs(value)) == []
