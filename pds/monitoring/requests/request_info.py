"""Data attached to a request while it is being handled."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import hdrs, web

from pds.monitoring.requests.client_address import ClientAddresses

ID_HEADER: Final = "X-Request-Id"

_is_id: Final = re.compile(r"[!-~]{1,64}").fullmatch
_id_bits: Final = random.getrandbits


@dataclass(slots=True)
class RequestInfo:
    """The id of a request, and what is found out about it on its way."""

    request_id: str
    did: str | None = None
    """Its account, once the credentials are verified."""
    headers: dict[str, str] = field(default_factory=dict)
    """What its answer will have, whatever that is, for web pages to read."""


REQUEST_INFO: Final = web.RequestKey("request_info", RequestInfo)


def begin_request(request: web.Request, addresses: ClientAddresses) -> RequestInfo:
    """Attach a `RequestInfo` to a request. A trusted proxy may have assigned the id already."""
    given = request.headers.get(ID_HEADER)
    if given is None or not _is_id(given) or not addresses.trusts_peer(request):
        # It need not be unguessable: knowing an id gives no access to anything.
        given = f"{_id_bits(64):016x}"
    info = request[REQUEST_INFO] = RequestInfo(given)
    return info


def note_caller(request: web.Request, did: str) -> None:
    """Record the account that makes the request."""
    request[REQUEST_INFO].did = did


def promise_headers(request: web.Request, headers: Mapping[str, str]) -> None:
    """Have the answer carry `headers`, whatever it is; web pages may read them."""
    request[REQUEST_INFO].headers.update(headers)


async def keep_promise(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Add the id, and what was promised, to a response about to be sent: an application signal."""
    info = request.get(REQUEST_INFO)
    if info is None:
        return
    response.headers[ID_HEADER] = info.request_id
    if info.headers:
        response.headers.update(info.headers)
        response.headers.add(hdrs.ACCESS_CONTROL_EXPOSE_HEADERS, ", ".join(info.headers))


def request_id_of(request: web.Request) -> str:
    """Return the id of a request, by which its log lines are found."""
    return request[REQUEST_INFO].request_id
