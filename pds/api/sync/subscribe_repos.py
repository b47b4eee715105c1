"""com.atproto.sync.subscribeRepos: the firehose, over a WebSocket.

Spec: https://atproto.com/specs/event-stream
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Final

import structlog
from aiohttp import WSCloseCode, hdrs, web

from pds.api.sync.frame_writer import WRITE_BYTES, FrameWriter
from pds.monitoring.requests.subscribers import Subscriber
from pds.read_context import ReadContext
from pds.xrpc.call import ReadCall
from pds.xrpc.methods import ReadMethods
from repo.lexicon import InvalidLexicon
from sequencer.frames import error_frame
from sequencer.outbox import FirehoseError, FutureCursor, subscribe

methods = ReadMethods()

_log = structlog.get_logger(__name__)

_MAX_CLIENT_MESSAGE_BYTES: Final = 1024
"""Consumers have nothing to send; what they do send is read and dropped."""
_WAIT_WHEN_FULL: Final = 1
"""Wait for the consumer whenever its connection takes no more: 64 KiB ahead of it."""
_STOPPING: Final = "server is stopping"
_CLOSE_S: Final = 3.0
"""How long the closing handshake with a consumer may take when the server stops."""


@methods.method("com.atproto.sync.subscribeRepos")
async def subscribe_repos(call: ReadCall) -> web.WebSocketResponse:
    """com.atproto.sync.subscribeRepos: send frames until either side goes away.

    As in the reference, the upgrade comes before the parameters are parsed, so every refusal is
    an error frame followed by a close with code 1008. The exception is 503 for too many consumers.
    """
    if not call.request.headers.get(hdrs.SEC_WEBSOCKET_KEY, "").isascii():
        # aiohttp refuses all other invalid keys, and fails on this one.
        raise web.HTTPBadRequest(text="Handshake error: bad Sec-WebSocket-Key")
    async with call.ctx.streams.subscribers.turn(call.request, call.address_group):
        return await _subscribe(call.request, call.ctx)


async def _subscribe(request: web.Request, ctx: ReadContext) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(
        max_msg_size=_MAX_CLIENT_MESSAGE_BYTES, compress=False, writer_limit=_WAIT_WHEN_FULL
    )
    await socket.prepare(request)
    with ctx.subscribers.entered(socket, request, ctx.client_addresses.of(request)) as subscriber:
        sender = asyncio.create_task(_serve(subscriber, ctx))
        try:
            async for _ in socket:
                pass
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
    return socket


async def close_subscribers(ctx: ReadContext) -> None:
    """Tell every consumer that the server is going away; it may reconnect with its cursor."""

    async def close(subscriber: Subscriber) -> None:
        subscriber.end = _STOPPING
        try:
            async with asyncio.timeout(_CLOSE_S):
                await subscriber.socket.close(
                    code=WSCloseCode.GOING_AWAY, message=_STOPPING.encode()
                )
        except TimeoutError:
            _abort(subscriber.request)

    await asyncio.gather(*map(close, ctx.subscribers), return_exceptions=True)


async def _serve(subscriber: Subscriber, ctx: ReadContext) -> None:
    """Send frames, and close the socket after the last one."""
    try:
        code, reason = await _send_frames(subscriber, ctx)
        await subscriber.socket.close(code=code, message=reason.encode())
    except ConnectionError:
        return  # The consumer left; the reading side sees it too and ends the request.


async def _send_frames(subscriber: Subscriber, ctx: ReadContext) -> tuple[WSCloseCode, str]:
    """Send all frames, with an error frame last if it failed. Return how to close the socket."""
    subscription = ctx.settings.subscription
    try:
        subscriber.cursor = _parse_cursor(subscriber.request, ctx)
        await ctx.sequencer.follow()
        writer = FrameWriter(subscriber.socket, subscriber.request)
        frames = subscribe(
            ctx.sequencer,
            subscriber.cursor,
            max_buffer=subscription.max_buffer,
            backfill_limit_ms=subscription.backfill_limit_ms,
            next_slice=partial(ctx.streams.backfills.next, subscriber.address.group),
            before_waiting=writer.write,
            position=subscriber.position,
        )
        ctx.subscribers.note_started(subscriber, ctx.sequencer.current_seq)
        async with aclosing(frames):
            await _pass_on(frames, writer)
    except InvalidLexicon as exc:
        error, message = "InvalidRequest", str(exc)
    except FirehoseError as exc:
        error, message = exc.error, exc.message
        if isinstance(exc, FutureCursor) and subscriber.cursor is not None:
            await asyncio.sleep(_note_future_cursor(subscriber, ctx, subscriber.cursor))
    except ConnectionError:
        raise
    except Exception:  # noqa: BLE001 (it is logged)
        # Close on any error: an open socket without frames looks like that of an idle server.
        _log.exception("a subscription failed")
        subscriber.end = "InternalServerError"
        return WSCloseCode.INTERNAL_ERROR, ""
    else:
        subscriber.end = _STOPPING
        return WSCloseCode.GOING_AWAY, _STOPPING
    subscriber.end = error
    await subscriber.socket.send_bytes(error_frame(error, message))
    return WSCloseCode.POLICY_VIOLATION, error


async def _pass_on(frames: AsyncIterator[bytes], writer: FrameWriter) -> None:
    """Send frames, those of one moment together: the rest is written before a wait for more."""
    try:
        async for frame in frames:
            writer.add(frame)
            if writer.waiting_bytes >= WRITE_BYTES:
                await writer.write()
    except Exception:
        # What came before the failure is the consumer's.
        await writer.write()
        raise
    await writer.write()


def _note_future_cursor(subscriber: Subscriber, ctx: ReadContext, cursor: int) -> float:
    return ctx.streams.future_cursors.note(
        subscriber.address.group,
        cursor=cursor,
        newest=ctx.sequencer.current_seq,
        client=subscriber.address.text,
        user_agent=subscriber.user_agent,
    )


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _parse_cursor(request: web.Request, ctx: ReadContext) -> int | None:
    pairs = list(request.query.items())
    params = ctx.lexicons.parse_params("com.atproto.sync.subscribeRepos", pairs)
    cursor = params.get("cursor")
    return cursor if isinstance(cursor, int) else None
