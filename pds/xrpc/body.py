"""Request bodies: which are expected, in what encoding, how large and how slow they may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final

import orjson
from aiohttp import web

from pds.fairness.pace import Pace
from pds.xrpc.decoding import ENCODINGS, encoding_of, unpack
from pds.xrpc.errors import XrpcError, invalid_request
from repo.lexicon import MethodSchema

JSON_LIMIT_BYTES: Final = 150 * 1024
"""The most that JSON may have, unless a method says otherwise."""
WRITE_LIMIT_BYTES: Final = 1_000_000
"""The most that JSON with records may have."""
JSON_S: Final = 30.0
"""How long a body that is read as a whole may take to come in."""
PACE_BYTES: Final = 128 * 1024
PACE_S: Final = 30.0
"""How long each `PACE_BYTES` of any other body may keep the server waiting."""

_TOO_DEEP: Final = "limit"
"""A word of orjson's message about more than 1,024 levels, and of no other of its messages."""


async def check_absent(request: web.Request) -> None:
    """For a method without input: raise `XrpcError` if the request brings one."""
    if not request.can_read_body:
        return
    if (request.content_length or 0) > 0 or await _in_time(request.content.readany(), JSON_S):
        raise invalid_request("A request body was provided when none was expected")


def check_encoding(request: web.Request, schema: MethodSchema) -> None:
    """For a method with input: raise `XrpcError` unless one comes, in an encoding it takes."""
    headers = request.headers
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        raise invalid_request("A request body is expected but none was provided")
    given = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not given:
        raise invalid_request("Request encoding (Content-Type) required but not provided")
    if schema.input_encoding not in ("*/*", given):
        raise invalid_request(f"Wrong request encoding (Content-Type): {given[:100]}")


def check_decodable(request: web.Request) -> None:
    """For binary input: raise `XrpcError` 415 if it is compressed in a way that is not undone."""
    if encoding_of(request) not in ENCODINGS:
        raise XrpcError(415, message="unsupported content-encoding")


async def read_json(request: web.Request, limit_bytes: int) -> bytes:
    """Read what is to be JSON, for `parse_json`. Raises `XrpcError`: 408, 413, 415."""
    encoding = encoding_of(request)
    if encoding not in ENCODINGS:
        raise XrpcError(
            415, "UnsupportedMediaTypeError", f'unsupported content encoding "{encoding[:100]}"'
        )
    return await read_bounded(request, limit_bytes)


def parse_json(raw: bytes) -> Any:
    """Parse JSON; nothing stands for an empty object. Raises `XrpcError` 400.

    What the parser finds too deep is JSON all the same, and no Lexicon has room for it: that is an
    `InvalidRequest`, everything else a `SyntaxError`.

    That it is an object at all is for the Lexicon to check.
    """
    if not raw:
        return {}
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        name = "InvalidRequest" if _TOO_DEEP in exc.msg else "SyntaxError"
        raise invalid_request(str(exc), name) from exc


async def read_bounded(request: web.Request, limit_bytes: int) -> bytes:
    """Read the whole body, decompressed. Raises `XrpcError`: 413 beyond the limit, 408."""
    if (request.content_length or 0) > limit_bytes:
        raise _too_large()
    reading = _read_bounded(request, limit_bytes)
    # Mostly all of it has come with the head, and needs no clock.
    return await (reading if request.content.is_eof() else _in_time(reading, JSON_S))


def may_be_large(request: web.Request) -> bool:
    """Whether a body may take more memory while it comes in than any connection may."""
    if request.content.is_eof():
        return False
    length = request.content_length
    return length is None or length > JSON_LIMIT_BYTES


def check_length(request: web.Request, limit_bytes: int) -> None:
    """For binary input: raise `XrpcError` 413 if the client says that it is longer."""
    if (request.content_length or 0) > limit_bytes:
        raise XrpcError(413, message="request entity too large")


def iter_body(request: web.Request) -> AsyncIterator[bytes]:
    """The parts of a body, decompressed, as they come in; their sum has no limit.

    Raises what `iter_packed_body` and `unpack` raise.
    """
    return unpack(iter_packed_body(request), encoding_of(request))


async def iter_packed_body(request: web.Request) -> AsyncIterator[bytes]:
    """The parts of a body as the client has sent them, compressed or not.

    Raises `XrpcError` 408 when the client is slower than four kilobytes a second. How long the
    caller takes for a part does not count.
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
    # Counted while it comes in: a small compressed body may stand for a huge one.
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
