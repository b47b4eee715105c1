"""Proxying of a request. Long bodies stream both ways, without a copy.

Short bodies are read as a whole: a request body before a connection is taken for it, an answer
before any of it is sent, by when the connection has been returned. A slow client thus holds a
connection no longer than a fast one.

A failure before the head of the answer is sent to the client is an XRPC error. A later one cuts
the connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs

from identity.http import FetchDisconnected, FetchError, FetchUnreachable, StreamedResponse
from pds.proxy.downstream import Downstream
from pds.proxy.errors import note_failure, read_refusal, unreachable
from pds.proxy.headers import request_headers
from pds.proxy.upload import Upload, take_body
from pds.proxy.watch import Watch

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import CIMultiDict

    from pds.context import AppContext
    from pds.proxy.target import ProxyTarget

_FIRST_PAUSE_S: Final = 0.1


async def pass_on(
    ctx: AppContext,
    request: web.Request,
    target: ProxyTarget,
    *,
    token: str | None,
    json: dict[str, Any] | None = None,
) -> web.StreamResponse:
    """Forward a client's request to `target`, as the account of `token`, and relay the answer.

    `json` is the body, if it has been read already. Without a token the answer is public. Raises
    `XrpcError`, `TooBusy`, and `ConnectionResetError` when there is nobody to answer, or the answer
    broke off.
    """
    limit_bytes = ctx.settings.proxy.max_response_bytes
    down = Downstream(request, private=token is not None, max_bytes=limit_bytes)
    try:
        with Watch(request, ctx.settings) as watch:
            headers = request_headers(request, token)
            body = await take_body(request, headers, watch, json=json)
            watch.await_others()
            async with ctx.proxy_share.turn(target.operators_url, large=isinstance(body, Upload)):
                watch.await_head()
                upstream = await _send(ctx, request, target, headers, body)
                try:
                    if upstream.status >= 400:
                        raise await read_refusal(upstream, watch)
                    if not await down.take(upstream, watch):
                        return await down.send_on(upstream, watch)
                finally:
                    await upstream.close()
            return await down.send_whole(upstream, watch)
    except FetchError as exc:
        if not down.is_under_way:
            raise unreachable(target, exc) from exc
        note_failure(target, exc)
        raise down.cut_off() from exc


async def open_upstream(
    ctx: AppContext,
    method: str,
    target: ProxyTarget,
    path: str,
    *,
    headers: CIMultiDict[str],
    body: bytes | Upload | None = None,
    decompress: bool = False,
) -> StreamedResponse:
    """Send a request to a service. Raises `FetchError`.

    A query that got no connection is retried as often as the settings say.
    """
    retries = ctx.settings.proxy.max_retries if method in (hdrs.METH_GET, hdrs.METH_HEAD) else 0
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            upstream = await ctx.proxy_http.open(
                method,
                target.url,
                path,
                trusted=target.trusted,
                headers=headers,
                body=body,
                decompress=decompress,
            )
        except FetchDisconnected:
            if retries <= 0:
                raise
        else:
            if upstream.status >= 200:
                return upstream
            await upstream.close()
            raise FetchUnreachable(target.url, f"status {upstream.status}")
        retries -= 1
        await asyncio.sleep(pause_s)
        pause_s *= 2


def path_of(request: web.Request) -> str:
    """Return path and query as the client wrote them."""
    path = request.raw_path
    if path.startswith("/xrpc/"):
        return path
    # An absolute URL, as for an HTTP proxy, or percent-encoded letters.
    query = request.rel_url.raw_query_string
    return f"/xrpc/{request.match_info['nsid']}" + (f"?{query}" if query else "")


async def _send(
    ctx: AppContext,
    request: web.Request,
    target: ProxyTarget,
    headers: CIMultiDict[str],
    body: bytes | Upload | None,
) -> StreamedResponse:
    path = path_of(request)
    try:
        return await open_upstream(ctx, request.method, target, path, headers=headers, body=body)
    except FetchError:
        if not isinstance(body, Upload) or body.failure is None:
            raise
        raise body.failure from None
