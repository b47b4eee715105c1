"""A link to another process of the server: calls of its functions, and their results."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

from pds.peers.channel import Channel, ChannelClosed, Message

CALL: Final = 0
RESULT: Final = 1
ERROR: Final = 2
TELL: Final = 3
CANCEL: Final = 4
GOODBYE: Final = 5
"""The process at the other end is about to end: it answers, but gets no more calls."""

CONNECT_S: Final = 15.0
"""How long a call waits for a process that is being replaced."""
_POLL_S: Final = 0.02
RETRY_AFTER_S: Final = 1
"""When a request is worth repeating of which nothing was done: a worker starts in a second."""

_Future: TypeAlias = "asyncio.Future[Any]"


class PeerGone(Exception):
    """The process that was called has ended, or is not there in time."""

    def __init__(self, *, was_called: bool) -> None:
        """`was_called` if it may have done what was asked, or a part of it."""
        super().__init__(
            "A process of the server has ended. Whether it has done what was asked is not known: "
            "look before you repeat it."
            if was_called
            else "A process of the server is being replaced. Try again later."
        )
        self.was_called = was_called
        self.retry_after_s = None if was_called else RETRY_AFTER_S


class Link:
    """Calls to the process that listens at `path`; connected when first used, and again."""

    def __init__(self, path: Path, *, on_lost: Callable[[], None] = lambda: None) -> None:
        """Call `on_lost` when the connection ends without a goodbye."""
        self._path = path
        self._on_lost = on_lost
        self._channel: Channel | None = None
        self._connecting: asyncio.Lock = asyncio.Lock()
        self._waiting: dict[int, tuple[Channel, _Future]] = {}
        self._last_id = 0

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function there, and return or raise what it does. Raises `PeerGone`.

        Cancelling cancels it there, too.
        """
        return await self._call(await self._connect(CONNECT_S), name, args, kwargs)

    async def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call like `call`, but raise `PeerGone` at once if the process is not there."""
        return await self._call(await self._connect(0.0), name, args, kwargs)

    async def _call(
        self, channel: Channel, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._last_id += 1
        number = self._last_id
        future: _Future = asyncio.get_running_loop().create_future()
        self._waiting[number] = channel, future
        try:
            channel.send((CALL, number, name, args, kwargs))
            return await future
        except asyncio.CancelledError:
            with suppress(ChannelClosed):
                channel.send((CANCEL, number, None))
            raise
        except ChannelClosed as exc:
            raise PeerGone(was_called=False) from exc
        finally:
            del self._waiting[number]
            self._close_if_done(channel)

    async def connect(self) -> None:
        """Connect, so that the process can be told something. Raises `PeerGone`."""
        await self._connect(CONNECT_S)

    def tell(self, message: bytes) -> None:
        """Send what `telling` made. A process that is not connected is not told."""
        if self._channel is not None:
            with suppress(ChannelClosed):
                self._channel.send_encoded(message)

    def close(self) -> None:
        """Close the connection; calls under way raise `PeerGone`."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    async def _connect(self, wait_s: float) -> Channel:
        if self._channel is not None and self._channel.is_open:
            return self._channel
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s
        async with self._connecting:
            while self._channel is None or not self._channel.is_open:
                with suppress(OSError):
                    _, self._channel = await loop.create_unix_connection(
                        lambda: Channel(self._receive, self._lose), str(self._path)
                    )
                    break
                if loop.time() >= give_up_at:
                    raise PeerGone(was_called=False)
                await asyncio.sleep(_POLL_S)
            return self._channel

    def _receive(self, channel: Channel, message: Message) -> None:
        kind, number, value = message
        if kind == GOODBYE:
            if channel is self._channel:
                self._channel = None
            self._close_if_done(channel)
            return
        _, future = self._waiting.get(number, (None, None))
        if future is None or future.done():
            return  # The caller has gone.
        if kind == ERROR:
            future.set_exception(value)
        else:
            future.set_result(value)

    def _close_if_done(self, channel: Channel) -> None:
        """Close a channel that gets no more calls, once all of its calls are answered."""
        if channel is not self._channel and all(
            one is not channel for one, _ in self._waiting.values()
        ):
            channel.close()

    def _lose(self, channel: Channel) -> None:
        for one, future in self._waiting.values():
            if one is channel and not future.done():
                future.set_exception(PeerGone(was_called=True))
        if channel is self._channel:
            self._channel = None
            self._on_lost()
