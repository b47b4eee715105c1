"""Records as JSON: the bytes that getRecord and listRecords put into their answers."""

from __future__ import annotations

from typing import Final

import orjson
from cachetools import LRUCache

from repo import dagcbor
from repo.datamodel import json_default

_CACHE_BYTES: Final = 16 * 1024 * 1024
_LARGEST_CACHED_BYTES: Final = 16 * 1024
"""A record larger than this would push out a hundred usual ones."""


class RecordJsonCache:
    """Turns stored records into JSON, remembering recent ones by CID.

    A CID stands for its bytes, so an entry can never be out of date.
    """

    def __init__(self, max_bytes: int = _CACHE_BYTES) -> None:
        self._cache: LRUCache[str, bytes] = LRUCache(max_bytes, getsizeof=len)

    def render(self, cid: str, block: bytes) -> bytes:
        """The JSON form of the record `block`, whose CID is `cid`."""
        json = self._cache.get(cid)
        if json is None:
            json = orjson.dumps(dagcbor.decode_trusted(block), default=json_default)
            if len(json) <= _LARGEST_CACHED_BYTES:
                self._cache[cid] = json
        return json
