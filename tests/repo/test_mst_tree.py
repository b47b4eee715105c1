"""Edits of a tree: the same records always give the same tree, however they got there."""

from __future__ import annotations

import itertools
from itertools import islice

import pytest
from hypothesis import given

from repo.cid import Cid
from repo.mst import (
    InvalidMst,
    KeyExists,
    KeyMissing,
    MemoryBlocks,
    MissingBlock,
    Mst,
    Node,
    NodeTooLarge,
    VerifiedWalk,
    build_blocks,
)
from repo.mst.key import key_height
from repo.mst.node import MAX_KEYS
from tests.repo.interop import vector_lines
from tests.repo.mst_support import (
    KEYS,
    VALUES,
    Edits,
    apply,
    edits,
    keys,
    node_blocks,
    records,
    tree_of,
    unhurried,
    values,
)
from tests.repo.sound_tree import verify_structure

EMPTY_ROOT = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"


def test_empty_tree_has_the_root_all_repositories_begin_with() -> None:
    assert str(Mst.empty().root) == EMPTY_ROOT
    assert str(tree_of({}).root) == EMPTY_ROOT
    assert list(Mst.empty().walk()) == []
    assert Mst.empty().get("a/b") is None


def test_a_node_of_more_keys_than_chance_makes_is_neither_made_nor_taken_for_sound() -> None:
    names = (f"com.example.record/{number:06}" for number in itertools.count())
    lowest = [*islice((n for n in names if key_height(n.encode()) == 0), MAX_KEYS + 1)]
    tree = tree_of(dict.fromkeys(lowest[:-1], VALUES[0]))
    with pytest.raises(NodeTooLarge):
        _ = tree.create(lowest[-1], VALUES[0]).root
    with pytest.raises(NodeTooLarge):
        tree_of(dict.fromkeys(lowest, VALUES[0]))


@pytest.mark.parametrize(
    ("rkeys", "root"),
    [
        ("3jqfcqzm3fo2j", "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu"),
        ("3jqfcqzm3fx2j", "bafyreih7wfei65pxzhauoibu3ls7jgmkju4bspy4t2ha2qdjnzqvoy33ai"),
        (
            "3jqfcqzm3fp2j 3jqfcqzm3fr2j 3jqfcqzm3fs2j 3jqfcqzm3ft2j 3jqfcqzm4fc2j",
            "bafyreicmahysq4n6wfuxo522m6dpiy7z7qzym3dzs756t5n7nfdgccwq7m",
        ),
    ],
)
def test_known_trees_have_their_published_roots(rkeys: str, root: str) -> None:
    value = Cid.parse("bafyreie5cvv4h45feadgeuwhbcutmh6t2ceseocckahdoe6uat64zmz454")
    names = [f"com.example.record/{rkey}" for rkey in rkeys.split()]
    assert str(tree_of(dict.fromkeys(names, value)).root) == root


@unhurried
@given(records, edits)
def test_edits_give_the_tree_built_afresh(items: dict[str, Cid], changes: Edits) -> None:
    model = dict(items)
    tree = apply(tree_of(items), model, changes)
    assert tree.root == tree_of(model).root
    assert list(tree.walk()) == sorted(model.items())


@unhurried
@given(records, edits)
def test_each_step_of_a_series_is_a_sound_tree(items: dict[str, Cid], changes: Edits) -> None:
    model = dict(items)
    tree = apply(Mst.empty(), {}, items.items())
    for change in changes:
        tree = apply(tree, model, [change])
        blocks = MemoryBlocks(tree.changed_blocks())
        assert blocks.blocks.keys() == node_blocks(model).keys()
        assert verify_structure(tree.root, blocks).records == len(model)


@unhurried
@given(records)
def test_a_verified_walk_gives_every_record_in_order(items: dict[str, Cid]) -> None:
    blocks = MemoryBlocks(node_blocks(items))
    walk = VerifiedWalk(tree_of(items).root, blocks)
    found = [(key.decode(), Cid(value)) for key, value in walk]
    assert found == sorted(items.items())
    assert walk.nodes == len(blocks.blocks)


@unhurried
@given(records, edits)
def test_an_edit_leaves_the_old_tree_as_it_was(items: dict[str, Cid], changes: Edits) -> None:
    tree = tree_of(items)
    apply(tree, dict(items), changes)
    assert list(tree.walk()) == sorted(items.items())


@unhurried
@given(records, keys, values)
def test_get_finds_what_is_there_and_nothing_else(
    items: dict[str, Cid], key: str, value: Cid
) -> None:
    tree = tree_of(items)
    assert tree.get(key) == items.get(key)
    if key in items:
        with pytest.raises(KeyExists):
            tree.create(key, value)
    else:
        with pytest.raises(KeyMissing):
            tree.update(key, value)
        with pytest.raises(KeyMissing):
            tree.delete(key)


@unhurried
@given(records, edits)
def test_a_settled_tree_is_served_by_the_cache_alone(items: dict[str, Cid], changes: Edits) -> None:
    model: dict[str, Cid] = {}
    cache: dict[bytes, Node] = {}
    tree = apply(Mst.empty(cache=cache), model, items.items()).settled()
    assert tree.changed_blocks() == {}
    tree = apply(tree, model, changes).settled()
    assert list(Mst.load(tree.root, MemoryBlocks({}), cache=cache).walk()) == sorted(model.items())


def test_a_settled_tree_remembers_nothing_itself() -> None:
    tree = Mst.empty(cache={}).create(KEYS[0], VALUES[0])
    settled = tree.settled()
    assert settled.root == tree.root
    assert settled.settled() is settled


@unhurried
@given(records, keys)
def test_a_walk_starts_where_it_is_told(items: dict[str, Cid], after: str) -> None:
    expected = [item for item in sorted(items.items()) if item[0] > after]
    assert list(tree_of(items).walk(after)) == expected


def test_a_node_that_is_not_there_is_named() -> None:
    blocks = node_blocks(dict.fromkeys(KEYS, VALUES[0]))
    root = next(reversed(blocks))
    with pytest.raises(MissingBlock) as caught:
        Mst.load(root, MemoryBlocks({})).get(KEYS[0])
    assert caught.value.cid == root
    with pytest.raises(MissingBlock):
        list(Mst.load(root, MemoryBlocks({root: blocks[root]})).walk())


@pytest.mark.parametrize(
    "key",
    ["", "a", "a/", "/a", "a/b/c", "a/b c", "a/é", "a/\x00", "a/b\n", "a/" + "b" * 1023, "a/b@"],
)
def test_keys_that_may_not_stand_in_a_tree_are_refused(key: str) -> None:
    with pytest.raises(InvalidMst):
        Mst.empty().create(key, VALUES[0])
    with pytest.raises(InvalidMst):
        tree_of({key: VALUES[0]})


def test_keys_of_all_allowed_characters_and_lengths_are_taken() -> None:
    for key in ("a/~_.:-", "app.bsky.feed.post/3l2a", "a/" + "b" * 1022):
        assert Mst.empty().create(key, VALUES[0]).get(key) == VALUES[0]


def test_building_refuses_keys_that_do_not_rise() -> None:
    for pair in (("a/b", "a/a"), ("a/b", "a/b")):
        with pytest.raises(InvalidMst):
            list(build_blocks((key, VALUES[0]) for key in pair))


def test_example_keys_build_the_same_tree_in_any_order() -> None:
    names = vector_lines("mst/example_keys.txt")
    built = tree_of(dict.fromkeys(names, VALUES[0])).root
    for order in (names, names[::-1], sorted(names, key=lambda name: name[::-1])):
        assert apply(Mst.empty(), {}, ((name, VALUES[0]) for name in order)).root == built
