"""Work that ends when the client it is done for has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from pds.fairness.repeating import repeated

LOOK_S: Final = 0.25
"""How often it is looked whether the client is still there: aiohttp does not tell."""


class ClientLeft(ConnectionResetError):
    """Nobody waits for the answer any more. The request's line says 499; it is no error."""

    def __init__(self) -> None:
        super().__init__("the client has left")


def has_left(request: web.BaseRequest) -> bool:
    """Whether the connection of a request is gone."""
    transport = request.transport
    return transport is None or transport.is_closing()


def tells_of_leaving(request: web.BaseRequest, exc: BaseException) -> bool:
    """Whether `exc` came up because the client of `request` has left, by whatever way."""
    return has_left(request) and (
        # A connection to somebody else may break as well, but not just then.
        isinstance(exc, ConnectionError)
        # What has ended the connection, such as "no route to host", ends the reading of a body.
        or (isinstance(request, web.Request) and exc is request.content.exception())
    )


@contextmanager
def while_present(request: web.BaseRequest) -> Iterator[None]:
    """A `with` block that is cancelled when the client leaves, and then raises `ClientLeft`.

    Only for what may be dropped at any await: waiting in a queue, hashing, reading, streaming.
    Never around a write that must be carried out whole.
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
            # As in `asyncio.timeout`: a cancellation that is not ours goes on.
            if left and task.uncancel() <= cancelling and isinstance(exc, asyncio.CancelledError):
                raise ClientLeft from exc
            raise
    if left:
        task.uncancel()  # The block has ended all the same, and with it what was to be ended.
