"""Answers that are sent while they are produced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import structlog
from aiohttp import hdrs, web

from actor_store.blob_store.base import BlobStoreError
from pds.fairness.answer_pace import allowed_s
from pds.fairness.presence import ClientLeft, tells_of_leaving

_log = structlog.get_logger(__name__)


async def send_stream(
    request: web.Request, response: web.StreamResponse, parts: AsyncGenerator[bytes, None]
) -> web.StreamResponse:
    """Send `parts` as the body of a response that has its headers, and close them.

    The first part is produced before anything is sent, so a failure up to there is an error answer
    like any other. A later failure cuts the connection, so that no client takes a part for the
    whole. A client that is slower than `allowed_s`, for which the parts would stay open, is cut off
    as well. Raises `ConnectionResetError` when there is nobody to answer.
    """
    # The producer of the parts learns at once that they are no longer wanted.
    async with aclosing(parts):
        first = await anext(parts, b"")
        await response.prepare(request)
        if request.method == hdrs.METH_HEAD:
            await response.write_eof()
            return response
        try:
            await _send(request, response, first, parts)
        except Exception as exc:
            if tells_of_leaving(request, exc):
                raise ClientLeft from exc
            if isinstance(exc, BlobStoreError):
                # S3 is down, and many are broken off at once.
                _log.warning("stream broken off", path=request.path, reason=str(exc))
            else:
                _log.exception("stream broken off", path=request.path)
            _abort(request)
            raise ConnectionResetError("stream broken off") from None
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    part: bytes,
    parts: AsyncGenerator[bytes, None],
) -> None:
    """Send `part` and the others, within the time the client may take for them."""
    began = asyncio.get_running_loop().time()
    sent_bytes = 0
    limit = asyncio.timeout(None)
    try:
        async with limit:
            while part:
                limit.reschedule(began + allowed_s(sent_bytes))
                await response.write(part)
                sent_bytes += len(part)
                part = await anext(parts, b"")
            await response.write_eof()
    except TimeoutError:
        if not limit.expired():
            raise
        _abort(request)
        raise ClientLeft from None


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
