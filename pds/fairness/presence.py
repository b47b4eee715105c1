"""Cancelling work when the client that it is done for has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from pds.fairness.repeating import repeated

LOOK_S: Final = 0.25
"""How often to poll whether the client is still connected, because aiohttp does not notify."""


class ClientLeft(ConnectionResetError):
    """The client no longer waits for the response: status 499 in the log, but not an error."""

    def __init__(self) -> None:
        super().__init__("the client has left")


def has_left(request: web.BaseRequest) -> bool:
    """Whether the connection of a request is closed or closing."""
    transport = request.transport
    return transport is None or transport.is_closing()


def tells_of_leaving(request: web.BaseRequest, exc: BaseException) -> bool:
    """Whether `exc` was caused by the client of `request` leaving, in whatever way."""
    return has_left(request) and (
        # It could come from a connection to another service, but hardly at the same time.
        isinstance(exc, ConnectionError)
        # The error that ended the connection, such as "no route to host", ends reading the body.
        or (isinstance(request, web.Request) and exc is request.content.exception())
    )


@contextmanager
def while_present(request: web.BaseRequest) -> Iterator[None]:
    """Run a `with` block that is cancelled when the client leaves, and then raises `ClientLeft`.

    Use it only for work that may be dropped at any await: waiting in a queue, hashing, reading,
    streaming. Never use it around a write that must be completed.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can be cancelled")
    cancelling = task.cancelling()
    left = False

    def look() -> bool:
        nonlocal left
        left = has_left(request)
        if left:
            task.cancel()
        return not left

    with repeated(look, every_s=LOOK_S):
        try:
            yield
        except BaseException as exc:
            # As in `asyncio.timeout`, a cancellation that is not ours propagates.
            if left and task.uncancel() <= cancelling and isinstance(exc, asyncio.CancelledError):
                raise ClientLeft from exc
            raise
    if left:
        task.uncancel()  # The block ended by itself, so there is nothing left to cancel.
