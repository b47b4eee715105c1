"""Serving the calls of other processes of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from pds.peers.calls import FUNCTIONS, TOLD
from pds.peers.channel import Channel, ChannelClosed, Message
from pds.peers.link import CANCEL, ERROR, GOODBYE, RESULT, TELL

CLOSE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class PeerService:
    """Carries out the calls that arrive at the socket of this process."""

    def __init__(self, ctx: Any) -> None:
        """`ctx` is what each called function gets first."""
        self._ctx = ctx
        self._server: asyncio.AbstractServer | None = None
        self._channels: set[Channel] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        self._calls: dict[tuple[Channel, int], asyncio.Future[Any]] = {}

    async def listen(self, path: Path) -> None:
        """Take calls at the socket `path` from now on. Raises `OSError`."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._open_channel, str(path)
        )

    async def close(self) -> None:
        """Answer the calls that others have sent, and let them close their connections.

        They send no more, because they have been told goodbye. Ends after `CLOSE_S` at the latest.
        """
        if self._server is not None:
            self._server.close()
        for channel in self._channels:
            with suppress(ChannelClosed):
                channel.send((GOODBYE, 0, None))
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._all_closed.wait()
        for call in tuple(self._calls.values()):
            call.cancel()
        for channel in tuple(self._channels):
            channel.close()

    def _open_channel(self) -> Channel:
        channel = Channel(self._receive, self._forget)
        self._channels.add(channel)
        self._all_closed.clear()
        return channel

    def _forget(self, channel: Channel) -> None:
        self._channels.discard(channel)
        if not self._channels:
            self._all_closed.set()

    def _receive(self, channel: Channel, message: Message) -> None:
        kind, number, *rest = message
        key = (channel, number)
        if kind == CANCEL:
            if key in self._calls:
                self._calls[key].cancel()
            return
        name, args, kwargs = rest
        if kind == TELL:
            TOLD[name](self._ctx, *args, **kwargs)
            return
        # A function that returns a future needs no task.
        call = asyncio.ensure_future(self._begin(name, args, kwargs))
        self._calls[key] = call
        call.add_done_callback(partial(self._answer, key, name))

    def _begin(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Awaitable[Any]:
        try:
            call = FUNCTIONS[name](self._ctx, *args, **kwargs)
            return self._durable(call) if asyncio.iscoroutine(call) else call
        except Exception as exc:  # noqa: BLE001 (the caller gets it)
            failed = asyncio.get_running_loop().create_future()
            failed.set_exception(exc)
            return failed

    async def _durable(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Answer when what the call has written is on the disk."""
        self._ctx.durability.begin()
        answer = await call
        await self._ctx.durability.settle()
        return answer

    def _answer(self, key: tuple[Channel, int], name: str, call: asyncio.Future[Any]) -> None:
        del self._calls[key]
        channel, number = key
        if call.cancelled():
            return  # Nobody waits for the answer.
        error = call.exception()
        answer = (ERROR, number, error) if error else (RESULT, number, call.result())
        try:
            channel.send(answer)
        except ChannelClosed:
            _log.warning("the process that asked has gone", call=name)
        except Exception as exc:  # noqa: BLE001 (whatever pickle raises)
            _log.exception("an answer to another process cannot be sent", call=name)
            channel.send((ERROR, number, RuntimeError(f"{name}: {exc}")))
