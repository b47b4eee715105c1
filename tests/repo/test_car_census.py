"""CARs whose blocks cannot belong to a repository are refused before they are read to the end."""

from __future__ import annotations

import io

import pytest

from repo import dagcbor
from repo.car import InvalidCar, encode_block, encode_car
from repo.car_census import SPARE_BLOCKS, take_census
from repo.cid import Cid
from repo.commit import sign_commit
from repo.keys import K256PrivateKey
from repo.mst import build_blocks
from repo.verify import InvalidRepo

_MAX_BLOCK_BYTES = 1_000_000
_TINY = [(Cid.of_dag_cbor(data), data) for data in map(dagcbor.encode, range(3 * SPARE_BLOCKS))]


class _Source(io.BytesIO):
    """A source that counts the bytes read."""

    @property
    def size_bytes(self) -> int:
        return len(self.getvalue())


def check(car: bytes) -> int:
    """Check a CAR. Return how many bytes were read."""
    source = _Source(car)
    take_census(source, size_bytes=len(car), max_block_bytes=_MAX_BLOCK_BYTES)
    return source.tell()


def entry(cid: Cid) -> bytes:
    """A link as encoded in a node."""
    return b"\xd8\x2a\x58\x25\x00" + cid.raw


def fake_node(*links: Cid) -> tuple[Cid, bytes]:
    """A block with these links that has the form of a node."""
    data = b"\xa2ae" + b"".join(map(entry, links)) + b"al\xf6"
    return Cid.of_dag_cbor(data), data


def repository(records: int) -> list[tuple[Cid, bytes]]:
    """The blocks of a repository, its commit first."""
    blocks = {Cid.of_dag_cbor(block): block for block in map(_record, range(records))}
    keys = [(f"com.example.note/{n:06}", cid) for n, cid in enumerate(blocks)]
    nodes = list(build_blocks(keys))
    key = K256PrivateKey.generate()
    commit = sign_commit("did:plc:" + "a" * 24, data=nodes[-1][0], rev="3l2vqs4u2dk2a", key=key)
    return [(commit.cid, commit.block), *nodes, *blocks.items()]


def _record(n: int) -> bytes:
    return dagcbor.encode({"$type": "com.example.note", "n": n})


@pytest.mark.parametrize("order", [1, -1])
def test_any_repository_passes_in_any_order(order: int) -> None:
    blocks = repository(2 * SPARE_BLOCKS)
    car = encode_car([blocks[0][0]], blocks[::order])
    assert check(car) == len(car)


def test_some_blocks_that_nothing_links_to_pass() -> None:
    blocks = repository(100)
    car = encode_car([blocks[0][0]], [*blocks, *_TINY[: SPARE_BLOCKS - 1]])
    assert check(car) == len(car)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_flood_of_blocks_that_nothing_links_to_is_refused_half_way(where: str) -> None:
    blocks = repository(100)
    mixed = [*blocks, *_TINY] if where == "behind" else [*_TINY, *blocks]
    car = encode_car([blocks[0][0]], mixed)
    source = _Source(car)
    with pytest.raises(InvalidRepo, match="far more blocks than its tree can have"):
        take_census(source, size_bytes=len(car), max_block_bytes=_MAX_BLOCK_BYTES)
    assert source.tell() < len(car)


def test_the_root_is_found_with_its_block() -> None:
    blocks = repository(3)
    car = encode_car([blocks[0][0]], blocks)
    found = take_census(io.BytesIO(car), size_bytes=len(car), max_block_bytes=_MAX_BLOCK_BYTES)
    assert found == blocks[0]


@pytest.mark.parametrize("order", [1, -1])
def test_nodes_that_are_in_no_tree_make_no_blocks_belong_to_it(order: int) -> None:
    blocks = repository(100)
    fakes = [fake_node(*(cid for cid, _ in _TINY[n::2])) for n in (0, 1)]
    # Each is linked by another, but none by the tree.
    mixed = [*blocks, *fakes, fake_node(*(cid for cid, _ in fakes)), *_TINY]
    with pytest.raises(InvalidRepo, match="far more blocks than its tree can have"):
        check(encode_car([blocks[0][0]], mixed[::order]))


def test_a_node_counts_as_what_its_bytes_are() -> None:
    blocks = repository(100)
    top_of_tree = blocks[-101][0]
    flood = _TINY[: 2 * SPARE_BLOCKS]
    _, lie = fake_node(*(cid for cid, _ in flood))
    mixed = [(cid, lie if cid == top_of_tree else block) for cid, block in blocks]
    with pytest.raises(InvalidRepo, match="far more blocks than its tree can have"):
        check(encode_car([blocks[0][0]], [*mixed, *flood]))


def test_what_is_no_car_is_refused() -> None:
    with pytest.raises(InvalidCar):
        check(b"no CAR")
    with pytest.raises(InvalidCar):
        check(encode_car([], []) + encode_block(*_TINY[0])[:-1])
