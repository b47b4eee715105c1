"""Request bodies with their `Content-Encoding` undone, chunk by chunk.

The server leaves bodies as they came, so that a request proxied to another service arrives there
untouched. Methods that are served here decompress theirs.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from pds.xrpc.errors import XrpcError, invalid_request

UNPACKED: Final = frozenset({"", "identity"})
"""The encodings that leave a body unchanged."""
ENCODINGS: Final = UNPACKED | {"gzip", "deflate"}
"""The supported encodings, in lower case."""

_PART_BYTES: Final = 64 * 1024
_MEMBERS_AT_ONCE: Final = 200
"""Per step of the event loop: one packet can hold thousands of empty gzip members."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_RAW_DEFLATE: Final = -zlib.MAX_WBITS


def encoding_of(request: web.Request) -> str:
    """Return the content encoding that a request names, in lower case; empty if none."""
    return request.headers.get("Content-Encoding", "").strip().lower()


def unpack(parts: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """Decompress a body chunk by chunk; no chunk is much longer than 64 KiB, however compressed.

    Raises `XrpcError`: 415 for an encoding not in `ENCODINGS`, 400 for damaged data.
    """
    if encoding not in ENCODINGS:
        raise XrpcError(415, message="unsupported content-encoding")
    return parts if encoding in UNPACKED else _unpack(parts, encoding)


async def _unpack(parts: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    packed = await anext(parts, b"")
    if not packed:
        return
    window = _window(encoding, packed)
    unpacker = zlib.decompressobj(window)
    members = 1
    while packed:
        if unpacker.eof:
            # A gzip file may have several members (RFC 1952, section 2.2).
            if window != _GZIP:
                raise _damaged()
            members += 1
            if members % _MEMBERS_AT_ONCE == 0:
                await asyncio.sleep(0)
            unpacker = zlib.decompressobj(window)
        try:
            part = unpacker.decompress(packed, _PART_BYTES)
        except zlib.error as exc:
            raise _damaged() from exc
        if part:
            yield part
        packed = unpacker.unconsumed_tail or unpacker.unused_data or await anext(parts, b"")
    if not unpacker.eof:
        raise _damaged()


def _window(encoding: str, start: bytes) -> int:
    if encoding == "gzip":
        return _GZIP
    # "deflate" means the zlib format (RFC 9110, section 8.4.1.2); some send it without its header.
    has_header = start[0] & 0x0F == zlib.DEFLATED
    return zlib.MAX_WBITS if has_header else _RAW_DEFLATE


def _damaged() -> XrpcError:
    return invalid_request("The request body is cut off or damaged")
