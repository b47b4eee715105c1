"""What a client is told when the service its request is proxied to fails or refuses."""

from __future__ import annotations

import zlib
from typing import Any, Final

import orjson
import structlog

from identity.http import FetchError, FetchOutOfFiles, FetchTooLarge, StreamedResponse
from pds.proxy.target import ProxyTarget
from pds.proxy.watch import Watch
from pds.xrpc.errors import XrpcError, out_of_files

_SERVER_ERROR: Final = 500
_BAD_GATEWAY: Final = 502
_LAST_STATUS: Final = 599
_MAX_ERROR_BYTES: Final = 256 * 1024
"""A longer error is relayed without its name and message."""
_ANY_ZLIB: Final = 32 + zlib.MAX_WBITS

_log = structlog.get_logger(__name__)


async def read_refusal(upstream: StreamedResponse, watch: Watch) -> XrpcError:
    """Read the error that a service has answered with from its body. Raises `FetchError`."""
    try:
        body = await upstream.read(_MAX_ERROR_BYTES, before_part=watch.await_part)
        if upstream.headers.get("Content-Encoding", "").lower() in ("gzip", "deflate"):
            body = zlib.decompressobj(_ANY_ZLIB).decompress(body, _MAX_ERROR_BYTES)
        json = orjson.loads(body)
    except (FetchTooLarge, zlib.error, orjson.JSONDecodeError):
        json = None
    return refusal(upstream.status, json)


def refusal(status: int, json: Any) -> XrpcError:
    """Return a service's error: its status, and its name and message if any.

    A 500 becomes a 502: the fault is not in this server.
    """
    if status == _SERVER_ERROR or status > _LAST_STATUS:
        status = _BAD_GATEWAY
    told = json if isinstance(json, dict) else {}
    return XrpcError(status, _text(told.get("error")), _text(told.get("message")))


def unreachable(target: ProxyTarget, failure: FetchError) -> XrpcError:
    """Return the error for a request to which a service gave no usable answer."""
    note_failure(target, failure)
    if isinstance(failure, FetchOutOfFiles):
        return out_of_files()
    if isinstance(failure, FetchTooLarge):
        return XrpcError(_BAD_GATEWAY, message="The answer of the upstream service is too large")
    return XrpcError(_BAD_GATEWAY, message="Upstream service unreachable")


def call_failed(target: ProxyTarget, failure: FetchError) -> XrpcError:
    """Like `unreachable`, for a request of this server's own."""
    note_failure(target, failure)
    if isinstance(failure, FetchOutOfFiles):
        return out_of_files()
    return XrpcError(_BAD_GATEWAY, "InternalServerError", "Failed to perform upstream request")


def invalid_answer() -> XrpcError:
    """Return the error for an invalid answer to this server's own request."""
    return XrpcError(_BAD_GATEWAY, "InvalidResponse", "Unable to parse response payload")


def note_failure(target: ProxyTarget, failure: FetchError) -> None:
    """Log the failure for the operator."""
    _log.warning("upstream service failed", service=target.did, reason=failure.reason[:200])


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
