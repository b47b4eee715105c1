"""The last answer on each connection of a server that ends: it tells the client that it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web


class LastAnswers:
    """Whether answers from now on are the last of their connections."""

    def __init__(self) -> None:
        self.have_begun = False

    def mark(self, make_request: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
        """Wrap what makes a request of its head: answers look there whether a connection stays."""

        def make(message: Any, *args: Any) -> web.BaseRequest:
            if self.have_begun and not message.should_close:
                message = message._replace(should_close=True)
            return make_request(message, *args)

        return make
