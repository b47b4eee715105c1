"""Records with their proof, as com.atproto.sync.getRecord of a stranger's server answers."""

from __future__ import annotations

from io import BytesIO
from typing import Final

from repo.car import CarReader, InvalidCar
from repo.dagcbor import Value
from repo.keys import PublicKey
from repo.mst import MemoryBlocks, Mst, MstError
from repo.record import InvalidRecord, decode_record
from repo.syntax import Did
from repo.verify import InvalidRepo, read_commit, root_of

MAX_ANSWER_BYTES: Final = 256 * 1024
"""A commit, a node of the tree for each of its layers, and the record."""
MAX_RECORD_BYTES: Final = 64 * 1024
"""Decoding a hostile record of that size takes 50 ms."""


class NotProven(ValueError):
    """The answer does not prove that the repository has the record."""


def read_proven_record(car: bytes, did: Did, key: PublicKey, path: str) -> dict[str, Value]:
    """Return the record at `path` (collection/rkey) in the repository that `key` signs.

    Raises `NotProven`.
    """
    try:
        reader = CarReader(BytesIO(car))
        blocks = MemoryBlocks(dict(reader))
        commit, _ = read_commit(root_of(reader.roots), blocks)
        if commit.did != did:
            raise NotProven("the commit is another account's")
        if not commit.verify(key):
            raise NotProven("the account's key has not signed the commit")
        cid = Mst.load(commit.data, blocks).get(path)
        if cid is None:
            raise NotProven("there is no such record")
        block = blocks.get_block(cid)
        if len(block) > MAX_RECORD_BYTES:
            raise NotProven(f"the record is larger than {MAX_RECORD_BYTES} bytes")
        return decode_record(block)
    except (InvalidCar, InvalidRecord, InvalidRepo, MstError) as exc:
        raise NotProven(str(exc)) from exc
