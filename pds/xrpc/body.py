"""Request bodies: whether one is expected, its encoding, and limits on its size and pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final

import orjson
from aiohttp import web

from pds.fairness.pace import Pace
from pds.xrpc.decoding import ENCODINGS, UNPACKED, encoding_of, unpack
from pds.xrpc.errors import XrpcError, invalid_request
from repo.lexicon import MethodSchema

JSON_LIMIT_BYTES: Final = 150 * 1024
"""The limit of a JSON body, unless a method declares another."""
WRITE_LIMIT_BYTES: Final = 1_000_000
"""The limit of a JSON body that contains records."""
JSON_S: Final = 30.0
"""How long a body that is read as a whole may take to arrive."""
PACE_BYTES: Final = 128 * 1024
PACE_S: Final = 30.0
"""How long each `PACE_BYTES` of any other body may keep the server waiting."""

_TOO_DEEP: Final = "limit"
"""A word in orjson's message about more than 1,024 levels, and in none of its other messages."""


async def check_absent(request: web.Request) -> None:
    """For a method without input: raise `XrpcError` if the request has a body."""
    if not request.can_read_body:
        return
    if (request.content_length or 0) > 0 or await _in_time(request.content.readany(), JSON_S):
        raise invalid_request("A request body was provided when none was expected")


def is_absent(request: web.Request) -> bool:
    """Whether a request has no body, or announces one of no bytes."""
    return not request.can_read_body or request.content_length == 0


def check_encoding(request: web.Request, schema: MethodSchema) -> None:
    """For a method with input: raise `XrpcError` unless a body comes, in an accepted encoding."""
    headers = request.headers
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        raise invalid_request("A request body is expected but none was provided")
    given = content_type_of(request)
    if schema.input_encoding not in ("*/*", given):
        raise invalid_request(f"Wrong request encoding (Content-Type): {given[:100]}")


def content_type_of(request: web.Request) -> str:
    """Return the media type of the body, in lower case, without parameters.

    Raises `XrpcError` if the client has given none.
    """
    given = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not given:
        raise invalid_request("Request encoding (Content-Type) required but not provided")
    return given


def check_decodable(request: web.Request) -> None:
    """For binary input: raise `XrpcError` 415 if its compression is not supported."""
    if encoding_of(request) not in ENCODINGS:
        raise XrpcError(415, message="unsupported content-encoding")


async def read_json(request: web.Request, limit_bytes: int) -> bytes:
    """Read a JSON body, for `parse_json`. Raises `XrpcError`: 408, 413, 415."""
    encoding = encoding_of(request)
    if encoding not in ENCODINGS:
        raise XrpcError(
            415, "UnsupportedMediaTypeError", f'unsupported content encoding "{encoding[:100]}"'
        )
    return await read_bounded(request, limit_bytes)


def parse_json(raw: bytes) -> Any:
    """Parse JSON; an empty body counts as an empty object. Raises `XrpcError` 400.

    What the parser finds too deep is still JSON, but no Lexicon has room for it: that is an
    `InvalidRequest`, everything else a `SyntaxError`.

    The Lexicon checks whether it is an object at all.
    """
    if not raw:
        return {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        name = "InvalidRequest" if _TOO_DEEP in exc.msg else "SyntaxError"
        raise invalid_request(str(exc), name) from exc


async def read_bounded(request: web.Request, limit_bytes: int) -> bytes:
    """Read the whole body, decompressed. Raises `XrpcError`: 413 beyond the limit, 408 if slow."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large()
    if not request.content.is_eof():
        return await _in_time(_read_bounded(request, limit_bytes), JSON_S)
    # Usually all of it came with the head, and needs no timer.
    if encoding_of(request) not in UNPACKED:
        return await _read_bounded(request, limit_bytes)
    body = request.content.read_nowait()
    if len(body) > limit_bytes:
        raise _too_large()
    return body


def may_be_large(request: web.Request) -> bool:
    """Return whether a body may take more memory, while it arrives, than any connection may."""
    if request.content.is_eof():
        return False
    length = request.content_length
    return length is None or length > JSON_LIMIT_BYTES


def check_length(request: web.Request, limit_bytes: int) -> None:
    """For binary input: raise `XrpcError` 413 if the client announces a longer body."""
    if (request.content_length or 0) > limit_bytes:
        raise XrpcError(413, message="request entity too large")


def iter_body(request: web.Request) -> AsyncIterator[bytes]:
    """Iterate over a body's chunks, decompressed, as they arrive; there is no limit in total.

    Raises what `iter_packed_body` and `unpack` raise.
    """
    return unpack(iter_packed_body(request), encoding_of(request))


async def iter_packed_body(request: web.Request) -> AsyncIterator[bytes]:
    """Iterate over a body's chunks as the client sent them, compressed or not.

    Raises `XrpcError` 408 when the client is slower than four kilobytes per second. The time
    that the caller takes for a chunk does not count.
    """
    loop, pace = asyncio.get_running_loop(), Pace(PACE_BYTES, PACE_S)
    while True:
        begun = loop.time()
        chunk = await _in_time(request.content.readany(), pace.left_s)
        if not chunk:
            return
        pace.note(len(chunk), loop.time() - begun)
        yield chunk


async def _read_bounded(request: web.Request, limit_bytes: int) -> bytes:
    chunks: list[bytes] = []
    received = 0
    # Counted while it arrives: a small compressed body may expand to a huge one.
    async for chunk in unpack(request.content.iter_any(), encoding_of(request)):
        received += len(chunk)
        if received > limit_bytes:
            raise _too_large()
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _in_time(reading: Awaitable[bytes], seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except TimeoutError as exc:
        raise XrpcError(408, message="The request body comes in too slowly") from exc


def _too_large() -> XrpcError:
    return XrpcError(413, "PayloadTooLargeError", "request entity too large")
