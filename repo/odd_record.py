"""Odd records: kept as the bytes they are, although no client may write them, and what they say.

Repositories that have lived elsewhere hold floats, integers of 64 bits, links of version 0, text
that is no Unicode, and bytes that are no CBOR at all. Hashes, tree and signature hold for them as
for any record, so such a record costs nobody the account. What can be read of it is read: the blobs
and records that it refers to, and its JSON.
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
"""Nested lists and maps of what is still read; orjson writes up to 254."""

_LEAVES: Final = frozenset((str, bool, NoneType, int, float, bytes, Cid, cbor2.undefined.__class__))
ODD_AUTHORITY: Final = "its collection has upper-case letters in its authority"
"""What is odd about a record by its key."""

_CID_V0_START: Final = bytes((SHA2_256, 32))
_CID_V0_BYTES: Final = 34


def find_oddity(block: bytes, collection: str | None = None) -> str | None:
    """Why no client may write the record, of that collection if it is given; None if one may."""
    try:
        decode_record(block)
    except InvalidRecord as exc:
        return str(exc)
    if collection is not None and not has_lower_case_authority(collection):
        return ODD_AUTHORITY
    return None


def read_kept(block: bytes) -> dict[str, Any]:
    """What a record that is kept says, be it odd or not: a value that `json_default` can write.

    Of an odd one, text that is no Unicode has U+FFFD in place of what is none, and a link of
    version 0 is `{"$link": …}`. Raises `InvalidRecord` if it cannot be read or is no map.
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
    """Refuse what `json_default` cannot write: keys that are no text, values that mean nothing."""
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
        # Base58 without the prefix of multibase.
        return {"$link": libipld.encode_multibase("z", raw)[1:]}
    return Cid.from_bytes(raw)
