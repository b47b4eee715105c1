"""The JSON form of the data model, and the blobs that a value refers to.

In JSON a link is `{"$link": "<cid>"}`, a byte string `{"$bytes": "<base64>"}`. `from_json` reads
what clients send; orjson with `json_default` writes what they receive.

Spec: https://atproto.com/specs/data-model
"""

from __future__ import annotations

import json
import math
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Final, TypeAlias

import cbor2

from repo.cid import Cid, InvalidCid
from repo.dagcbor import MAX_DEPTH, MAX_INT, Value

JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What `json` and orjson write."""

_PLAIN: Final = frozenset((str, bool, NoneType))
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*").fullmatch


class InvalidDataModel(ValueError):
    """The JSON has no place in the data model."""

    def __init__(self, reason: str, path: str) -> None:
        """`path` locates the fault, such as `$.record.tags[2]`."""
        super().__init__(f"{reason} at {path}")
        self.reason = reason
        self.path = path


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A typed reference to a blob, as it appears in a record."""

    cid: Cid
    mime_type: str
    size: int
    """In bytes, as claimed by the record; -1 if the claim cannot be a size."""

    def to_json(self) -> JsonValue:
        """Return the reference as it appears in a record's JSON."""
        link = json_default(self.cid)
        return {"$type": "blob", "ref": link, "mimeType": self.mime_type, "size": self.size}


def from_json(value: object, *, path: str = "$") -> Value:
    """Convert parsed JSON. `path` locates it in messages. Raises `InvalidDataModel`.

    A float with an integral value becomes an integer. Objects with `$link`, `$bytes` or `$type`
    must have the shape that the key implies.
    """
    try:
        return _read(value, MAX_DEPTH)
    except _Misfit as exc:
        raise InvalidDataModel(exc.reason, path + exc.path()) from None


def json_default(value: object) -> JsonValue:
    """Return the JSON form of a link or byte string: `orjson.dumps(value, default=json_default)`.

    Also converts `undefined`, which odd records contain. Raises `TypeError` for anything else, as
    encoders expect.
    """
    if type(value) is Cid:
        return {"$link": str(value)}
    if type(value) is bytes:
        return {"$bytes": _encode_base64(value)}
    if value is cbor2.undefined:
        return None
    raise TypeError(f"{type(value).__name__} has no place in the data model")


def iter_blob_refs(value: Value) -> Iterator[BlobRef]:
    """Yield the typed blobs at any depth, in the order of the value."""
    for item in iter_maps(value):
        if item.get("$type") != "blob":
            continue
        cid, mime_type, size = item.get("ref"), item.get("mimeType"), _size_of(item.get("size"))
        if type(cid) is Cid and type(mime_type) is str and size is not None:
            yield BlobRef(cid, mime_type, size)


def _size_of(value: object) -> int | None:
    """Return a blob's size, None if not a number. Odd records have floats and huge numbers."""
    if type(value) is not int and type(value) is not float:
        return None
    return int(value) if abs(value) <= MAX_INT else -1


def iter_legacy_blobs(value: Value) -> Iterator[str]:
    """Yield the CIDs of blobs in the pre-2023 form: a map of only `cid` and `mimeType`."""
    for item in iter_maps(value):
        if len(item) == 2:
            cid, mime_type = item.get("cid"), item.get("mimeType")
            if type(cid) is str and type(mime_type) is str and _is_cid(cid):
                yield cid


def find_legacy_blob(value: Value) -> str | None:
    """Return the first of `iter_legacy_blobs`, or None."""
    return next(iter_legacy_blobs(value), None)


# --- reading ---


class _Misfit(Exception):
    """A fault on its way up. Containers add their part of the path, so valid input pays nothing."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.segments: list[str | int] = []

    def path(self) -> str:
        return "".join(map(_path_segment, reversed(self.segments)))


def _read(value: Any, room: int) -> Value:
    """Convert one value in which `room` more containers may nest: recursion ends at 0."""
    if type(value) is dict:
        return _read_object(value, room)
    if type(value) is list:
        return _read_array(value, room)
    if type(value) is int:
        return _read_integer(value)
    if type(value) is float:
        return _read_float(value)
    if type(value) is str or type(value) is bool or value is None:
        return value
    raise _wrong_type(type(value).__name__)


def _read_object(value: dict[str, Any], room: int) -> Value:
    if "$link" in value:
        return _read_link(value)
    if "$bytes" in value:
        return _read_bytes(value)
    if room == 0:
        raise _too_deep()
    result: dict[str, Value] = {}
    for key, child in value.items():
        if type(child) in _PLAIN:
            result[key] = child
            continue
        try:
            result[key] = _read(child, room - 1)
        except _Misfit as exc:
            exc.segments.append(key)
            raise
    if "$type" in result:
        _check_type(result)
    return result


def _read_array(value: list[Any], room: int) -> Value:
    if room == 0:
        raise _too_deep()
    result: list[Value] = []
    for child in value:
        if type(child) in _PLAIN:
            result.append(child)
            continue
        try:
            result.append(_read(child, room - 1))
        except _Misfit as exc:
            exc.segments.append(len(result))
            raise
    return result


def _read_integer(value: int) -> int:
    if not -MAX_INT <= value <= MAX_INT:
        raise _Misfit("Integer is beyond 2^53 - 1, which not every program can read")
    return value


def _read_float(value: float) -> int:
    if value.is_integer() and abs(value) <= MAX_INT:
        return int(value)
    if math.isfinite(value):
        raise _wrong_type(repr(value))
    raise _wrong_type(json.dumps(value))


def _read_link(value: dict[str, object]) -> Cid:
    text = value["$link"]
    if len(value) != 1 or type(text) is not str:
        raise _Misfit("Invalid $link object")
    try:
        return Cid.parse(text)
    except InvalidCid as exc:
        raise _Misfit("Invalid CID in $link") from exc


def _read_bytes(value: dict[str, object]) -> bytes:
    text = value["$bytes"]
    if len(value) != 1 or type(text) is not str:
        raise _Misfit("Invalid $bytes object")
    # Padding may be omitted entirely, but not partly.
    padded = text if "=" in text else text + "=" * (-len(text) % 4)
    try:
        return a2b_base64(padded, strict_mode=True)
    except (Base64Error, ValueError) as exc:
        raise _Misfit("Invalid base64 in $bytes") from exc


def _check_type(value: dict[str, Value]) -> None:
    """Refuse a `$type` that names no type, and a blob without its fields.

    Additional fields are allowed, as in every object of the protocol.
    """
    name = value["$type"]
    if type(name) is not str or not name:
        raise _Misfit("$type must be a non-empty string")
    if name == "blob" and not (
        type(value.get("ref")) is Cid
        and type(value.get("mimeType")) is str
        and type(value.get("size")) is int
    ):
        raise _Misfit("Invalid blob: it must have a link ref, a string mimeType, an integer size")


def _wrong_type(got: str) -> _Misfit:
    return _Misfit(
        "Expected one of null, boolean, integer, string, cid, bytes, array or object value type"
        f" (got {got})"
    )


def _too_deep() -> _Misfit:
    return _Misfit(f"Nested deeper than {MAX_DEPTH} levels")


def _path_segment(segment: str | int) -> str:
    if type(segment) is str and _IDENTIFIER(segment):
        return f".{segment}"
    return f"[{json.dumps(segment, ensure_ascii=False)}]"


# --- writing ---


def _encode_base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode().rstrip("=")


# --- walking ---


def iter_maps(value: Value) -> Iterator[dict[str, Value]]:
    """Yield every map within `value`, including itself, in the order of the value."""
    # An explicit stack: untrusted input must not control the depth of Python's recursion.
    stack = [value]
    while stack:
        item = stack.pop()
        if type(item) is dict:
            yield item
            children = reversed(item.values())
        elif type(item) is list:
            children = reversed(item)
        else:
            continue
        stack.extend(child for child in children if type(child) is dict or type(child) is list)


def _is_cid(text: str) -> bool:
    try:
        Cid.parse(text)
    except InvalidCid:
        return False
    return True
