"""The client on whose behalf work is done, for code that does not receive the request."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from aiohttp import web

from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.request_info import REQUEST_INFO

_request: Final[ContextVar[web.Request | None]] = ContextVar("request", default=None)

set_request: Final = _request.set
"""Set the request that the current task, and any task it starts, responds to."""


def askers(addresses: ClientAddresses) -> tuple[str, ...]:
    """Return whose shares the current request uses: its client's address and, if known, account.

    The result is empty for work that the server does on its own behalf.
    """
    request = _request.get()
    if request is None:
        return ()
    group, info = addresses.of(request).group, request.get(REQUEST_INFO)
    return (group,) if info is None or info.did is None else (group, info.did)
