"""Records as JSON: the bytes that getRecord and listRecords put into their responses."""

from __future__ import annotations

from typing import Final

import orjson
from cachetools import LRUCache

from actor_store.lookups import Lookups
from repo import dagcbor
from repo.cid import Cid
from repo.dagcbor import InvalidDagCbor
from repo.datamodel import json_default
from repo.odd_record import read_kept
from repo.record import InvalidRecord

_CACHE_BYTES: Final = 16 * 1024 * 1024
_LARGEST_CACHED_BYTES: Final = 16 * 1024
"""A record larger than this would evict a hundred typical ones."""


class RecordJsonCache:
    """The JSON of recently read records by CID, so that most reads need no block at all.

    A CID identifies the bytes, so an entry never goes stale.
    """

    def __init__(self) -> None:
        self._cache: LRUCache[bytes, bytes] = LRUCache(_CACHE_BYTES, getsizeof=len)
        self.lookups = Lookups()

    @property
    def size_bytes(self) -> int:
        """The total size of the cached JSON."""
        return int(self._cache.currsize)

    def render(self, cid: Cid, block: bytes) -> bytes:
        """Return the JSON form of the record `cid`, given its `block`.

        Raises `InvalidRecord` for an odd record without a JSON form.
        """
        json = _json_of(block)
        if len(json) <= _LARGEST_CACHED_BYTES:
            # A copy, because orjson's result keeps its large output buffer alive.
            self._cache[cid.raw] = bytes(memoryview(json))
        self.lookups.misses += 1
        return json

    def find(self, cid: Cid) -> bytes | None:
        """Return the JSON form of the record `cid` if it is cached."""
        json = self._cache.get(cid.raw)
        if json is not None:
            self.lookups.hits += 1
        return json


def _json_of(block: bytes) -> bytes:
    try:
        value = dagcbor.decode_trusted(block)
        if type(value) is dict:
            return orjson.dumps(value, default=json_default)
    except (InvalidDagCbor, TypeError):
        pass
    try:
        return orjson.dumps(read_kept(block), default=json_default)
    except TypeError as exc:
        raise InvalidRecord(str(exc)) from exc
