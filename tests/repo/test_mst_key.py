"""Layers of keys and shared prefixes, by the protocol's vectors."""

from __future__ import annotations

from repo.mst.key import MAX_HEIGHT, key_height, shared_prefix
from tests.repo.mst_support import example_keys, interop


def test_heights_are_those_of_the_interop_vectors() -> None:
    for case in interop("mst/key_heights.json"):
        assert key_height(case["key"].encode()) == case["height"], case


def test_example_keys_stand_in_the_layer_their_name_tells() -> None:
    for key in example_keys():
        assert key_height(key.encode()) == int(key[1])


def test_shared_prefixes_are_those_of_the_interop_vectors() -> None:
    for case in interop("mst/common_prefix.json"):
        left, right = case["left"].encode(), case["right"].encode()
        assert shared_prefix(left, right) == case["len"], case


def test_no_key_stands_above_the_highest_layer() -> None:
    assert MAX_HEIGHT == 256 // 2
