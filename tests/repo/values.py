"""Values of the data model for tests."""

from __future__ import annotations

import base64
from typing import Any

import orjson
from hypothesis import strategies as st

from repo.cid import Cid
from repo.dagcbor import Value
from repo.datamodel import json_default

cids = st.binary(max_size=8).flatmap(
    lambda data: st.sampled_from([Cid.of_raw(data), Cid.of_dag_cbor(data)])
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
keys = texts.filter(lambda key: not key.startswith("$"))
integers = st.integers(1 - 2**53, 2**53 - 1)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | texts | st.binary(max_size=40) | cids,
    lambda children: st.lists(children, max_size=5) | st.dictionaries(keys, children, max_size=5),
    max_leaves=20,
)


def to_json(value: Value) -> Any:
    """The JSON of a value as clients read it."""
    return orjson.loads(orjson.dumps(value, default=json_default))


def unpadded(text: str) -> bytes:
    """Decode base64 without padding."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def nested(depth: int, leaf: Value = 1) -> Value:
    """`leaf` inside `depth` lists."""
    value = leaf
    for _ in range(depth):
        value = [value]
    return value
