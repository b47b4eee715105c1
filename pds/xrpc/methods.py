"""Declaring XRPC methods: a handler beside the NSID it serves and the credentials it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pds.xrpc.call import Handler
from pds.xrpc.credentials import Authenticator


@dataclass(slots=True, frozen=True)
class XrpcMethod:
    """One endpoint. `auth` is None where the Authorization header is not looked at."""

    nsid: str
    handler: Handler
    auth: Authenticator | None


class XrpcMethods:
    """The endpoints of one Lexicon namespace, filled by decorating their handlers."""

    def __init__(self) -> None:
        self._methods: list[XrpcMethod] = []

    def method(
        self, nsid: str, *, auth: Authenticator | None = None
    ) -> Callable[[Handler], Handler]:
        """Serve `nsid` with the decorated handler."""

        def declare(handler: Handler) -> Handler:
            self._methods.append(XrpcMethod(nsid, handler, auth))
            return handler

        return declare

    def __iter__(self) -> Iterator[XrpcMethod]:
        return iter(self._methods)
