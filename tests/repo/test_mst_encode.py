"""Blocks joined by hand are the bytes that two general codecs write."""

from __future__ import annotations

import cbor2
import libipld
from hypothesis import example, given
from hypothesis import strategies as st

from repo.cid import Cid
from repo.mst.encode import encode_entries, entry_heads
from repo.mst.key import shared_prefix
from tests.repo.mst_support import unhurried

CIDS = [Cid.of_dag_cbor(bytes([n])).raw for n in range(3)]
NAMES = st.text("ab", min_size=1, max_size=4)
KEYS = st.sets(st.builds(lambda a, n, b: f"{a * n}/{b}".encode(), NAMES, st.integers(1, 90), NAMES))
LINKS = st.lists(st.sampled_from([None, *CIDS]), min_size=8, max_size=8)


def entries(keys: list[bytes], links: list[bytes | None], *, tagged: bool) -> dict[str, object]:
    def link(raw: bytes | None) -> object:
        return cbor2.CBORTag(42, b"\x00" + raw) if tagged and raw is not None else raw

    items, before = [], b""
    for at, key in enumerate(keys):
        shared = shared_prefix(before, key)
        tail = link(links[(at + 1) % len(links)])
        items.append({"p": shared, "k": key[shared:], "v": link(CIDS[at % 3]), "t": tail})
        before = key
    return {"l": link(links[0]), "e": items}


@unhurried
@given(KEYS, LINKS)
@example({b"a/b", b"a/b" + b"c" * 1000, b"a/b" + b"c" * 999 + b"d"}, [*CIDS, None] * 2)
def test_blocks_are_those_of_libipld_and_cbor2(
    found: set[bytes], links: list[bytes | None]
) -> None:
    check_block(sorted(found), links)


def test_nodes_of_many_entries_are_written_with_longer_lengths() -> None:
    for count in (23, 24, 255, 256, 66_000):
        check_block([b"a/%05d" % number for number in range(count)], [None, *CIDS])


def check_block(keys: list[bytes], links: list[bytes | None]) -> None:
    values = tuple(CIDS[at % 3] for at in range(len(keys)))
    chosen = [links[at % len(links)] for at in range(len(keys) + 1)]
    block = encode_entries(entry_heads(keys), values, chosen)
    assert block == libipld.encode_dag_cbor(entries(keys, links, tagged=False))
    assert block == cbor2.dumps(entries(keys, links, tagged=True), canonical=True)
