"""Answers that are sent as they are made."""

from __future__ import annotations

from collections.abc import AsyncIterator

import structlog
from aiohttp import hdrs, web

_log = structlog.get_logger(__name__)


async def send_stream(
    request: web.Request, response: web.StreamResponse, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send `chunks` as the body of a response that has its headers.

    The first chunk is made before anything is sent, so a failure up to there is an error answer
    like any other. A later one cuts the connection: no client takes a part for the whole.
    """
    first = await anext(chunks, b"")
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        await response.write_eof()
        return response
    try:
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    except ConnectionError:
        raise  # The client left.
    except Exception:  # noqa: BLE001 (whatever it is, the part that went out is not the whole)
        _log.exception("stream broken off", path=request.path)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("stream broken off") from None
    return response
