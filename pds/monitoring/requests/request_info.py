"""Data attached to a request while it is being handled."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from pds.monitoring.requests.client_address import ClientAddresses

ID_HEADER: Final = "X-Request-Id"

_is_id: Final = re.compile(r"[!-~]{1,64}").fullmatch
_id_bits: Final = random.getrandbits


@dataclass(slots=True)
class RequestInfo:
    """The id of a request, and its account once the credentials are verified."""

    request_id: str
    did: str | None = None


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


def request_id_of(request: web.Request) -> str:
    """Return the id of a request, by which its log lines are found."""
    return request[REQUEST_INFO].request_id
