"""CIDs: the content identifiers of blocks and blobs.

Spec: https://atproto.com/specs/data-model#link-and-cid-formats
"""

from __future__ import annotations

import hashlib
from typing import Final

import libipld

DAG_CBOR: Final = 0x71
RAW: Final = 0x55
SHA2_256: Final = 0x12

MAX_BYTES: Final = 128
"""Longest binary CID accepted; a CIDv1 with SHA-256 has 36 bytes."""
MAX_TEXT_LENGTH: Final = 256
"""Longest CID text accepted; a CIDv1 with SHA-256 in base32 has 59 characters."""

_DAG_CBOR_PREFIX: Final = bytes((1, DAG_CBOR, SHA2_256, 32))
_RAW_PREFIX: Final = bytes((1, RAW, SHA2_256, 32))
BLESSED_PREFIXES: Final = (_DAG_CBOR_PREFIX, _RAW_PREFIX)
"""The first bytes of every block's or blob's CID; a 32-byte digest follows."""
BLESSED_LENGTH: Final = 36


class InvalidCid(ValueError):
    """The bytes or text are not a CID that atproto allows."""


class Cid:
    """A CIDv1. Immutable, hashable, ordered by its bytes. `str(cid)` is the base32 text.

    Blocks and blobs in atproto have SHA-256 CIDs (`is_blessed`). A link in a record may be any
    CIDv1, because records do point into other networks.
    """

    __slots__ = ("_text", "raw")

    raw: bytes
    """The binary form: version, codec and multihash; 36 bytes for a blessed CID."""

    def __init__(self, raw: bytes, text: str | None = None) -> None:
        """Trust `raw` to be a binary CID, and `text`, if given, to be its base32 text.

        Use `from_bytes` or `parse` for untrusted input.
        """
        self.raw = raw
        self._text = text

    @classmethod
    def from_bytes(cls, raw: bytes) -> Cid:
        """Check and wrap a binary CIDv1. Raises `InvalidCid`."""
        cid = cls(raw)
        if not cid.is_blessed:
            _check_structure(raw)
        return cid

    @classmethod
    def parse(cls, text: str) -> Cid:
        """Read a CID from its base32 text, the one spelling atproto uses. Raises `InvalidCid`."""
        if len(text) > MAX_TEXT_LENGTH:
            raise InvalidCid("CID text is too long")
        if not text.startswith("b"):
            raise InvalidCid(f"CID must be version 1 in base32: {text}")
        try:
            _, raw = libipld.decode_multibase(text)
        except ValueError as exc:
            raise InvalidCid(f"not a CID: {text}") from exc
        cid = cls.from_bytes(raw)
        if str(cid) != text:
            raise InvalidCid(f"CID is not in canonical base32: {text}")
        return cid

    @classmethod
    def parse_stored(cls, text: str) -> Cid:
        """Read a CID that this server wrote, unchecked: a third of the time `parse` takes."""
        return cls(libipld.decode_multibase(text)[1], text)

    @classmethod
    def of_dag_cbor(cls, block: bytes) -> Cid:
        """Return the CID of a DAG-CBOR block: a record, a commit or an MST node."""
        return cls(_DAG_CBOR_PREFIX + hashlib.sha256(block).digest())

    @classmethod
    def of_raw(cls, blob: bytes) -> Cid:
        """Return the CID of a blob's bytes."""
        return cls(_RAW_PREFIX + hashlib.sha256(blob).digest())

    @classmethod
    def of_raw_digest(cls, digest: bytes) -> Cid:
        """Return the CID of a blob from its SHA-256 `digest` (32 bytes), taken while streaming."""
        return cls(_RAW_PREFIX + digest)

    @property
    def is_blessed(self) -> bool:
        """Whether this is a SHA-256 CID of dag-cbor or raw bytes, as blocks and blobs need."""
        return len(self.raw) == BLESSED_LENGTH and self.raw.startswith(BLESSED_PREFIXES)

    @property
    def codec(self) -> int:
        """The multicodec of the content, such as `DAG_CBOR` or `RAW`."""
        return _read_varint(self.raw, 1)[0]

    def __str__(self) -> str:
        text = self._text
        if text is None:
            text = self._text = libipld.encode_multibase("b", self.raw)
        return text

    def __repr__(self) -> str:
        return f"Cid({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cid) and self.raw == other.raw

    def __lt__(self, other: Cid) -> bool:
        return self.raw < other.raw

    def __hash__(self) -> int:
        return hash(self.raw)


def _check_structure(raw: bytes) -> None:
    """Raise `InvalidCid` unless `raw` is 1, a codec, and a multihash that fills the rest."""
    if len(raw) > MAX_BYTES or not raw.startswith(b"\x01"):
        raise InvalidCid(f"not a CIDv1: {raw[:40].hex()}")
    _, after_codec = _read_varint(raw, 1)
    _, after_hash = _read_varint(raw, after_codec)
    length, start = _read_varint(raw, after_hash)
    if length != len(raw) - start:
        raise InvalidCid(f"CID has {len(raw) - start} bytes of hash and claims {length}")


def _read_varint(raw: bytes, start: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number. Return it and the position behind it."""
    value = 0
    for position in range(start, min(start + 9, len(raw))):
        byte = raw[position]
        value |= (byte & 0x7F) << (7 * (position - start))
        if byte < 0x80:
            if byte == 0 and position > start:
                raise InvalidCid("CID has a number that is longer than it need be")
            return value, position + 1
    raise InvalidCid("CID ends inside a number")
