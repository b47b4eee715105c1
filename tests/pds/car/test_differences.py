"""Differences of two CARs: those of their records, whatever the trees look like."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pds.car.differences import Difference, iter_differences
from pds.car.repo_file import RepoFile
from repo import dagcbor
from repo.cid import Cid
from repo.mst import MissingBlock
from tests.pds.car.cars import POST, Parts, car_of, parts_of

contents = st.dictionaries(
    st.integers(0, 60).map(lambda n: f"{POST}/{n}"), st.integers(0, 3).map(lambda n: {"n": n})
)


def differences(old: bytes, new: bytes) -> list[Difference]:
    with RepoFile.read(io.BytesIO(old)) as a, RepoFile.read(io.BytesIO(new)) as b:
        return list(iter_differences(a, b))


def cid(value: Any) -> Cid:
    return Cid.of_dag_cbor(dagcbor.encode(value))


@settings(deadline=None)
@given(contents, contents)
def test_differences_are_those_of_the_records(old: dict[str, Any], new: dict[str, Any]) -> None:
    expected = [
        Difference(
            key,
            cid(old[key]) if key in old else None,
            cid(new[key]) if key in new else None,
        )
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    assert differences(car_of(old), car_of(new)) == expected


def test_each_action_has_its_cids() -> None:
    old = {f"{POST}/gone": {"n": 1}, f"{POST}/same": {}, f"{POST}/text": {"n": 2}}
    new = {f"{POST}/same": {}, f"{POST}/text": {"n": 3}, "com.example.x/new": {}}
    assert [one.to_json() for one in differences(car_of(old), car_of(new))] == [
        {"action": "delete", "collection": POST, "rkey": "gone", "old": str(cid({"n": 1}))},
        {
            "action": "update",
            "collection": POST,
            "rkey": "text",
            "old": str(cid({"n": 2})),
            "new": str(cid({"n": 3})),
        },
        {"action": "create", "collection": "com.example.x", "rkey": "new", "new": str(cid({}))},
    ]


def test_a_new_commit_alone_is_no_difference() -> None:
    assert differences(car_of(), car_of(rev="3n2qm55oosc3x")) == []


def test_what_both_have_is_not_read() -> None:
    """Neither records nor subtrees that are the same need to be there."""
    records = {f"{POST}/{n:03}": {"n": n} for n in range(100)}
    parts = parts_of(records)
    assert parts.nodes > 2
    top = Parts(parts.roots, parts.blocks[:2], 0).encode()
    assert differences(top, top) == []
    with pytest.raises(MissingBlock):
        differences(top, car_of({f"{POST}/new": {}}))
