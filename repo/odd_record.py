"""Odd records: stored byte for byte although no client may write them, and read leniently.

Repositories from other servers contain floats, 64-bit integers, CIDv0 links, text that is not
Unicode, and bytes that are not CBOR at all. Their hashes, tree and signature are still valid, so
an odd record does not prevent the import of an account. Whatever is readable is read: the blobs
and records it refers to, and its JSON.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final

import cbor2
import libipld

from repo import dagcbor
from repo.cid import SHA2_256, Cid
from repo.dagcbor import InvalidDagCbor
from repo.record import InvalidRecord, decode_record
from repo.syntax import has_lower_case_authority

MAX_DEPTH: Final = 250
"""Levels of nested lists and maps that are still read; orjson writes up to 254."""

_LEAVES: Final = frozenset((str, bool, NoneType, int, float, bytes, Cid, cbor2.undefined.__class__))
ODD_AUTHORITY: Final = "its collection has upper-case letters in its authority"
"""The oddity of a record's key rather than of its block."""

_CID_V0_START: Final = bytes((SHA2_256, 32))
_CID_V0_BYTES: Final = 34


def find_oddity(block: bytes, collection: str | None = None) -> str | None:
    """Return why no client may write this record (to `collection`, if given); None if one may."""
    try:
        decode_record(block)
    except InvalidRecord as exc:
        return str(exc)
    if collection is not None and not has_lower_case_authority(collection):
        return ODD_AUTHORITY
    return None


def read_kept(block: bytes) -> dict[str, Any]:
    """Decode a stored record, odd or not, into a value that `json_default` can write.

    In an odd record, invalid UTF-8 becomes U+FFFD and a CIDv0 link becomes `{"$link": …}`. Raises
    `InvalidRecord` if the block is unreadable or not a map.
    """
    try:
        value = dagcbor.decode_trusted(block)
    except InvalidDagCbor:
        value = _read_leniently(block)
    if type(value) is not dict:
        raise InvalidRecord("it is not a map")
    _check_writable(value)
    return value


def _check_writable(value: dict[Any, Any]) -> None:
    """Refuse what `json_default` cannot write: non-text keys and meaningless values."""
    stack: list[Any] = [value]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            if any(type(key) is not str for key in item):
                raise InvalidRecord("it has a key that is not text")
            stack += item.values()
        elif type(item) is list:
            stack += item
        elif type(item) not in _LEAVES:
            raise InvalidRecord("it has a value that means nothing")


def _read_leniently(block: bytes) -> Any:
    try:
        return dagcbor.decode_leniently(block, max_depth=MAX_DEPTH, decode_link=_read_link)
    except InvalidDagCbor as exc:
        raise InvalidRecord(str(exc)) from exc


def _read_link(raw: bytes) -> Cid | dict[str, str]:
    if raw.startswith(_CID_V0_START) and len(raw) == _CID_V0_BYTES:
        # Base58 without the multibase prefix.
        return {"$link": libipld.encode_multibase("z", raw)[1:]}
    return Cid.from_bytes(raw)
