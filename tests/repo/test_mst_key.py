"""Layers of keys and shared prefixes, by the protocol's vectors."""

from __future__ import annotations

from repo.mst.key import key_height, shared_prefix
from tests.repo.interop import vector_lines, vectors


def test_heights_are_those_of_the_interop_vectors() -> None:
    for case in vectors("mst/key_heights.json"):
        assert key_height(case["key"].encode()) == case["height"], case


def test_example_keys_stand_in_the_layer_their_name_tells() -> None:
    # The second character of each is its layer.
    for key in vector_lines("mst/example_keys.txt"):
        assert key_height(key.encode()) == int(key[1])


def test_shared_prefixes_are_those_of_the_interop_vectors() -> None:
    for case in vectors("mst/common_prefix.json"):
        left, right = case["left"].encode(), case["right"].encode()
        assert shared_prefix(left, right) == case["len"], case
