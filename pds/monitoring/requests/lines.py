"""The log line of each request."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from pds.monitoring.logs.quick import Log
from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.request_info import RequestInfo
from pds.monitoring.requests.statistics import HEALTH, OTHER, PREFLIGHT, WEB

LOGGER: Final = "pds.requests"

_UNNAMED: Final = frozenset({OTHER, WEB, PREFLIGHT})
"""Names that each cover many paths."""
_MAX_PATH_LENGTH: Final = 200


def write_line(
    log: Log,
    request: web.Request,
    info: RequestInfo,
    *,
    addresses: ClientAddresses,
    method: str,
    status: int,
    seconds: float,
) -> None:
    """Log a finished `request` at level info, or at level debug if it is a health check."""
    # Health checks come every few seconds.
    level = "debug" if method == HEALTH else "info"
    if level not in log.levels:
        return
    fields: dict[str, Any] = {
        "event": "request",
        "method": method,
        "verb": request.method,
        "status": status,
        "duration_ms": int(seconds * 100_000) / 100,
        "client": addresses.of(request).text,
        "request_id": info.request_id,
    }
    if method in _UNNAMED:
        # Never the query, which may contain codes and tokens.
        fields["path"] = request.path[:_MAX_PATH_LENGTH]
        del fields["method"]
    if info.did is not None:
        fields["did"] = info.did
    log.write(level, fields)
