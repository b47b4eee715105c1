"""CAR version 1: the file form of a repository, a list of blocks behind a header.

    header     length, then DAG-CBOR {"roots": [CID, …], "version": 1}
    block      length of CID and data together, then the CID, then the data; repeated

Every length is an unsigned varint (LEB128). Writing is plain functions whose results are
concatenated. Reading is incremental: at most one block and one chunk are in memory.

Spec: https://ipld.io/specs/transport/car/carv1/ and
https://atproto.com/specs/repository#car-file-serialization
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from repo import dagcbor
from repo.cid import BLESSED_LENGTH, BLESSED_PREFIXES, Cid

MAX_BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Default limit for one block when reading; a commit event has up to 2 MB."""
MAX_HEADER_BYTES: Final = 16 * 1024
"""Default limit for the header when reading; with one root it takes 58 bytes."""

_READ_BYTES: Final = 256 * 1024
_MAX_VARINT_BYTES: Final = 9


class InvalidCar(ValueError):
    """The bytes are not a CAR file, or a block does not hash to its CID."""

    def __init__(self, reason: str, offset: int, *, cid: Cid | None = None) -> None:
        """`offset` is where the faulty header, number or block begins in the file, in bytes."""
        super().__init__(f"{reason}, at byte {offset} of the CAR")
        self.offset = offset
        self.cid = cid


class NotACar(InvalidCar):
    """The bytes are a different kind of file, such as a server's error page."""

    def __init__(self, what: str) -> None:
        """`what` says what they are."""
        ValueError.__init__(self, f"this is not a CAR file: {what}")
        self.offset = 0
        self.cid = None


class ByteSource(Protocol):
    """Anything with a blocking `read`, such as an open file."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; `b""` at the end."""


@dataclass(frozen=True, slots=True)
class CarHeader:
    """The header of a CAR. A repository has one root, its commit; loose blocks have none."""

    roots: tuple[Cid, ...]


# --- writing ---


def encode_varint(number: int) -> bytes:
    """Encode a number of 0 or more as unsigned LEB128."""
    groups = bytearray()
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def decode_varint(data: bytes) -> tuple[int, int]:
    """Read a varint at the start of `data`. Return it and the offset of the bytes that follow."""
    number = 0
    for position, byte in enumerate(data):
        number |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return number, position + 1
    raise ValueError("the number has no end")


_VARINTS: Final = tuple(map(encode_varint, range(2048)))
"""Encoded lengths, precomputed for nearly all blocks."""

# The bytes around the single root of a commit's CAR, starting with the header's length (58).
_ONE_ROOT_HEAD: Final = b"\x3a\xa2eroots\x81\xd8\x2a\x58\x25\x00"
_ONE_ROOT_TAIL: Final = b"gversion\x01"


def encode_header(roots: Iterable[Cid]) -> bytes:
    """Encode the header with its length: the beginning of a CAR."""
    roots = list(roots)
    if len(roots) == 1 and roots[0].is_blessed:
        return _ONE_ROOT_HEAD + roots[0].raw + _ONE_ROOT_TAIL
    header = dagcbor.encode({"roots": [*roots], "version": 1})
    return encode_varint(len(header)) + header


def car_bytes(roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> int:
    """Return the size of `encode_car`'s result in bytes, without building it."""
    size = len(encode_header(roots))
    for cid, data in blocks:
        length = len(cid.raw) + len(data)
        size += length + len(_VARINTS[length] if length < 2048 else encode_varint(length))
    return size


def encode_block(cid: Cid, data: bytes) -> bytes:
    """Encode one block with its length and CID."""
    raw = cid.raw
    length = len(raw) + len(data)
    return (_VARINTS[length] if length < 2048 else encode_varint(length)) + raw + data


def encode_car(roots: Iterable[Cid], blocks: Iterable[tuple[Cid, bytes]]) -> bytes:
    """Encode a whole CAR in memory, its blocks in the order given."""
    parts = [encode_header(roots)]
    for cid, data in blocks:
        length = len(cid.raw) + len(data)
        parts.append(_VARINTS[length] if length < 2048 else encode_varint(length))
        parts.append(cid.raw)
        parts.append(data)
    return b"".join(parts)


# --- reading ---


class CarParser:
    """An incremental parser: takes a CAR in chunks, returns each block once it is complete.

    A parser that has raised `InvalidCar` cannot be used again.
    """

    def __init__(
        self,
        *,
        max_block_bytes: int = MAX_BLOCK_BYTES,
        verify: bool = True,
    ) -> None:
        """`verify` hashes every block; only a CAR from a trusted writer may skip that."""
        self.header: CarHeader | None = None
        """The header, once enough of the CAR has been fed."""
        self._max_block_bytes = max_block_bytes
        self._verify = verify
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._needed_bytes = 1
        self._offset = 0

    @property
    def position(self) -> int:
        """Where the next block begins in the CAR, in bytes."""
        return self._offset

    def feed(self, chunk: bytes) -> list[tuple[Cid, bytes]]:
        """Take the next bytes; return the blocks they complete. Raises `InvalidCar`."""
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk)
        # Joining only when a section is complete keeps a large block in tiny chunks linear.
        if self._waiting_bytes < self._needed_bytes:
            return []
        data = b"".join(self._waiting)
        blocks: list[tuple[Cid, bytes]] = []
        start = 0
        if self.header is None:
            try:
                start = self._take_header(data)
            except InvalidCar as exc:
                raise _recognised(data, exc) from exc
        if self.header is not None:
            blocks, start = self._take_blocks(data, start)
        self._waiting = [data[start:]] if start < len(data) else []
        self._waiting_bytes = len(data) - start
        self._offset += start
        return blocks

    def finish(self) -> None:
        """Call after the last chunk. Raises `InvalidCar` if the CAR is incomplete."""
        if self.header is None:
            raise _recognised(b"".join(self._waiting), InvalidCar("CAR ends inside its header", 0))
        if self._waiting_bytes:
            raise InvalidCar("CAR ends inside a block", self._offset)

    def _take_header(self, data: bytes) -> int:
        """Read the header once it is complete. Return where the blocks start."""
        found = self._read_length(data, 0)
        if found is None:
            return 0
        length, start = found
        if length > MAX_HEADER_BYTES:
            raise InvalidCar(f"header of {length} bytes is too large", 0)
        end = start + length
        if end > len(data):
            self._needed_bytes = end
            return 0
        self.header = _decode_header(data[start:end])
        return end

    def _take_blocks(self, data: bytes, start: int) -> tuple[list[tuple[Cid, bytes]], int]:
        """Read the complete blocks from `start` on. Return them and where the remainder starts."""
        blocks: list[tuple[Cid, bytes]] = []
        end = len(data)
        verify = self._verify
        max_length = self._max_block_bytes + BLESSED_LENGTH
        self._needed_bytes = 1
        while start < end:
            length = data[start]
            cid_start = start + 1
            # Fast path for lengths of one or two bytes, which most blocks have.
            if length >= 0x80 and cid_start < end and 0 < data[cid_start] < 0x80:
                length += (data[cid_start] - 1) << 7
                cid_start += 1
            elif length >= 0x80:
                found = self._read_length(data, start)
                if found is None:
                    break
                length, cid_start = found
            if not BLESSED_LENGTH <= length <= max_length:
                raise InvalidCar(f"block and CID cannot have {length} bytes", self._offset + start)
            block_end = cid_start + length
            if block_end > end:
                self._needed_bytes = block_end - start
                break
            data_start = cid_start + BLESSED_LENGTH
            raw = data[cid_start:data_start]
            if not raw.startswith(BLESSED_PREFIXES):
                raise InvalidCar("block has no CIDv1 of SHA-256", self._offset + start)
            cid = Cid(raw)
            block = data[data_start:block_end]
            if verify and hashlib.sha256(block).digest() != raw[4:]:
                reason = f"block does not hash to its CID {cid}"
                raise InvalidCar(reason, self._offset + start, cid=cid)
            blocks.append((cid, block))
            start = block_end
        return blocks, start

    def _read_length(self, data: bytes, start: int) -> tuple[int, int] | None:
        """Read a varint. Return it and the position behind it; None if `data` ends inside it."""
        number = 0
        for position in range(start, min(start + _MAX_VARINT_BYTES, len(data))):
            byte = data[position]
            number |= (byte & 0x7F) << (7 * (position - start))
            if byte < 0x80:
                if byte == 0 and position > start:
                    raise InvalidCar("length is longer than it need be", self._offset + start)
                return number, position + 1
        if len(data) - start >= _MAX_VARINT_BYTES:
            raise InvalidCar("length has no end", self._offset + start)
        self._needed_bytes = len(data) - start + 1
        return None


class CarReader:
    """A CAR read from a file: the roots immediately, the blocks by iterating over it, once."""

    def __init__(
        self,
        source: ByteSource,
        *,
        max_block_bytes: int = MAX_BLOCK_BYTES,
        verify: bool = True,
    ) -> None:
        """Read the header. `verify` hashes every block. Raises `InvalidCar`."""
        self._source = source
        self._parser = CarParser(max_block_bytes=max_block_bytes, verify=verify)
        self._first_blocks: list[tuple[Cid, bytes]] = []
        self.roots = self._read_header().roots

    def __iter__(self) -> Iterator[tuple[Cid, bytes]]:
        """Yield each CID and block in file order. Raises `InvalidCar`."""
        first_blocks, self._first_blocks = self._first_blocks, []
        yield from first_blocks
        while chunk := self._source.read(_READ_BYTES):
            yield from self._parser.feed(chunk)
        self._parser.finish()

    def _read_header(self) -> CarHeader:
        while self._parser.header is None:
            chunk = self._source.read(_READ_BYTES)
            if not chunk:
                self._parser.finish()
            self._first_blocks = self._parser.feed(chunk)
        return self._parser.header


def _decode_header(data: bytes) -> CarHeader:
    try:
        header = dagcbor.decode(data)
    except dagcbor.InvalidDagCbor as exc:
        raise InvalidCar(f"header is not canonical DAG-CBOR: {exc}", 0) from exc
    if type(header) is not dict or "version" not in header:
        raise InvalidCar("header is not a map of roots and version", 0)
    if type(header["version"]) is not int or header["version"] != 1:
        raise InvalidCar("CAR is not of version 1", 0)
    if header.keys() != {"roots", "version"}:
        raise InvalidCar("header is not a map of roots and version", 0)
    roots = header["roots"]
    if type(roots) is not list or not all(type(root) is Cid for root in roots):
        raise InvalidCar("roots of the header are not a list of CIDs", 0)
    return CarHeader(tuple(root for root in roots if type(root) is Cid))


def _recognised(data: bytes, problem: InvalidCar) -> InvalidCar:
    """Return a `NotACar` if the first bytes identify another kind of file, else `problem`."""
    if not data:
        return NotACar("it is empty")
    kind = next((kind for start, kind in _KINDS if data.startswith(start)), None)
    text = data[:_TEXT_BYTES].removeprefix(_BYTE_ORDER_MARK).lstrip()
    if (
        kind is None
        and len(data) > 1
        and text.isascii()
        and text.decode("ascii").replace("\n", " ").isprintable()
    ):
        kind = next((kind for start, kind in _KINDS_OF_TEXT if text.startswith(start)), "text")
    return problem if kind is None else NotACar(f"it is {kind}")


_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_TEXT_BYTES: Final = 24
"""Any CAR header has non-text bytes within this many of its first bytes."""
_KINDS: Final = (
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"SQLite format 3\0", "an SQLite database"),
)
_KINDS_OF_TEXT: Final = ((b"<", "HTML or XML"), (b"{", "JSON"), (b"[", "JSON"))
