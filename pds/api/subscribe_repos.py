"""com.atproto.sync.subscribeRepos: the firehose, over a WebSocket.

Spec: https://atproto.com/specs/event-stream
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from pds.context import AppContext
from pds.xrpc.call import XrpcCall
from pds.xrpc.methods import XrpcMethods
from repo.lexicon import InvalidLexicon
from sequencer.events import error_frame
from sequencer.outbox import FirehoseError, subscribe

methods = XrpcMethods()

_MAX_CLIENT_MESSAGE_BYTES: Final = 1024
"""Consumers have nothing to say; what they send is read and dropped."""
_SEND_S: Final = 30.0
"""How long one frame may wait for a consumer that reads nothing at all."""


@methods.method("com.atproto.sync.subscribeRepos")
async def subscribe_repos(call: XrpcCall) -> web.WebSocketResponse:
    """com.atproto.sync.subscribeRepos: send frames until either side goes away.

    As in the reference the upgrade comes before the parameters are looked at, so every refusal
    is an error frame followed by a close with code 1008.
    """
    request, ctx = call.request, call.ctx
    socket = web.WebSocketResponse(max_msg_size=_MAX_CLIENT_MESSAGE_BYTES, compress=False)
    await socket.prepare(request)
    ctx.subscribers.add(socket)
    sender = asyncio.create_task(_send_frames(socket, request, ctx))
    try:
        await _wait_for_close(socket)
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
        ctx.subscribers.discard(socket)
    return socket


async def close_subscribers(ctx: AppContext) -> None:
    """Tell every consumer that the server goes away; it may reconnect with its cursor."""
    closing = [
        socket.close(code=WSCloseCode.GOING_AWAY, message=b"server is stopping")
        for socket in tuple(ctx.subscribers)
    ]
    await asyncio.gather(*closing, return_exceptions=True)


async def _wait_for_close(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type == WSMsgType.ERROR:
            return


async def _send_frames(
    socket: web.WebSocketResponse, request: web.Request, ctx: AppContext
) -> None:
    subscription = ctx.settings.subscription
    try:
        frames = subscribe(
            ctx.sequencer,
            _parse_cursor(request, ctx),
            max_buffer=subscription.max_buffer,
            backfill_limit_ms=subscription.backfill_limit_ms,
        )
        async for frame in frames:
            async with asyncio.timeout(_SEND_S):
                await socket.send_bytes(frame)
    except InvalidLexicon as exc:
        await _refuse(socket, "InvalidRequest", str(exc))
    except FirehoseError as exc:
        await _refuse(socket, exc.error, exc.message)
    except TimeoutError:
        # Nothing more would get through to it, not even the reason.
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        return  # The consumer left; the reading side sees it too and ends the request.


def _parse_cursor(request: web.Request, ctx: AppContext) -> int | None:
    pairs = list(request.query.items())
    params = ctx.lexicons.parse_params("com.atproto.sync.subscribeRepos", pairs)
    cursor = params.get("cursor")
    return cursor if isinstance(cursor, int) else None


async def _refuse(socket: web.WebSocketResponse, error: str, message: str) -> None:
    try:
        await socket.send_bytes(error_frame(error, message))
    finally:
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=error.encode())
