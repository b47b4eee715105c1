"""Records as JSON: the bytes that getRecord and listRecords put into their answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson
from cachetools import LRUCache

from actor_store.lookups import Lookups
from actor_store.reader import ActorStoreReader
from actor_store.records import RecordRef
from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import InvalidDagCbor
from repo.datamodel import json_default
from repo.odd_record import read_kept
from repo.record import InvalidRecord

_CACHE_BYTES: Final = 16 * 1024 * 1024
_LARGEST_ODD_BYTES: Final = 64 * 1024
"""Of an odd record that is shown: what is read leniently takes its time."""
_LARGEST_CACHED_BYTES: Final = 16 * 1024
"""A record larger than this would push out a hundred usual ones."""


class RecordJsonCache:
    """The JSON of recently read records by CID, so that most reads need no block at all.

    A CID stands for its bytes, so an entry can never be out of date.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._cache: LRUCache[bytes, bytes] = LRUCache(max_bytes, getsizeof=len)
        self.lookups = Lookups()

    @property
    def size_bytes(self) -> int:
        """Length of all that is kept."""
        return int(self._cache.currsize)

    def render(self, cid: Cid, get_block: Callable[[Cid], bytes]) -> bytes:
        """The JSON form of the record `cid`.

        Raises `InvalidRecord` for an odd one that has none, and what `get_block` raises.
        """
        json = self._cache.get(cid.raw)
        if json is None:
            json = _json_of(get_block(cid))
            if len(json) <= _LARGEST_CACHED_BYTES:
                # A copy, for the result of orjson keeps the large buffer that it was written to.
                self._cache[cid.raw] = bytes(memoryview(json))
            self.lookups.misses += 1
        else:
            self.lookups.hits += 1
        return json

    def view(self, actor: ActorStoreReader, ref: RecordRef) -> bytes:
        """`{uri, cid, value}` of a record, as JSON."""
        value = self.render(ref.cid, actor.repo.get_block)
        # A URI and a CID hold nothing that JSON would escape.
        return b'{"uri":"%b","cid":"%b","value":%b}' % (
            ref.uri.encode(),
            str(ref.cid).encode(),
            value,
        )


def _json_of(block: bytes) -> bytes:
    try:
        value = dagcbor.decode_trusted(block)
        if type(value) is dict:
            return orjson.dumps(value, default=json_default)
    except (InvalidDagCbor, TypeError):
        pass
    if len(block) > _LARGEST_ODD_BYTES:
        raise InvalidRecord(f"it is odd, and has {len(block)} bytes")
    try:
        return orjson.dumps(read_kept(block), default=json_default)
    except TypeError as exc:
        raise InvalidRecord(str(exc)) from exc
