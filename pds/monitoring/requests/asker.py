"""For whom something is done, where no parameter tells."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from aiohttp import web

from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.request_info import REQUEST_INFO

_request: Final[ContextVar[web.Request | None]] = ContextVar("request", default=None)

set_request: Final = _request.set
"""Tell which request the current task answers, as do the tasks that it starts."""


def askers(addresses: ClientAddresses) -> tuple[str, ...]:
    """Whose share is used by what is done now: the client's address and, if known, its account.

    Nobody's for what the server does of its own accord.
    """
    request = _request.get()
    if request is None:
        return ()
    group, info = addresses.of(request).group, request.get(REQUEST_INFO)
    return (group,) if info is None or info.did is None else (group, info.did)
