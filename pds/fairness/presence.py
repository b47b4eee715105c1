"""Work that ends when its client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from pds.fairness.repeating import repeated

LOOK_S: Final = 0.25
"""How often to check that the client is still connected, because aiohttp does not notify us."""


class ClientLeft(ConnectionResetError):
    """The client has disconnected. The request is logged as 499, not as an error."""

    def __init__(self) -> None:
        super().__init__("the client has left")


def has_left(request: web.BaseRequest) -> bool:
    """Whether the connection of a request is gone."""
    transport = request.transport
    return transport is None or transport.is_closing()


def tells_of_leaving(request: web.BaseRequest, exc: BaseException) -> bool:
    """Whether `exc` was raised because the client of `request` has left, in any way."""
    return has_left(request) and (
        # A connection to another host may break as well, but hardly at the same moment.
        isinstance(exc, ConnectionError)
        # The error that ended the connection, such as "no route to host", is raised by body reads.
        or (isinstance(request, web.Request) and exc is request.content.exception())
    )


@contextmanager
def while_present(request: web.BaseRequest) -> Iterator[None]:
    """Cancel the `with` block when the client leaves, and raise `ClientLeft`.

    Only for work that may be dropped at any await: waiting in a queue, hashing, reading, streaming.
    Never around a write that must be completed.
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
            # As in `asyncio.timeout`, pass on a cancellation that is not ours.
            if left and task.uncancel() <= cancelling and isinstance(exc, asyncio.CancelledError):
                raise ClientLeft from exc
            raise
    if left:
        task.uncancel()  # The block ended before the cancellation took effect.
