"""XRPC errors: an answer that refuses, with its HTTP status, error name and message.

Spec: https://atproto.com/specs/xrpc#error-responses
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import hdrs, web

DEFAULT_ERRORS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("InvalidRequest", "Invalid Request"),
    401: ("AuthenticationRequired", "Authentication Required"),
    403: ("Forbidden", "Forbidden"),
    404: ("XRPCNotSupported", "XRPC Not Supported"),
    406: ("NotAcceptable", "Not Acceptable"),
    408: ("RequestTimeout", "Request Timeout"),
    413: ("PayloadTooLarge", "Payload Too Large"),
    415: ("UnsupportedMediaType", "Unsupported Media Type"),
    416: ("InvalidRange", "Range Not Satisfiable"),
    426: ("UpgradeRequired", "Upgrade Required"),
    429: ("RateLimitExceeded", "Rate Limit Exceeded"),
    500: ("InternalServerError", "Internal Server Error"),
    501: ("MethodNotImplemented", "Method Not Implemented"),
    502: ("UpstreamFailure", "Upstream Failure"),
    503: ("NotEnoughResources", "Not Enough Resources"),
    504: ("UpstreamTimeout", "Upstream Timeout"),
}
"""The name and message of a status when the error gives none."""
_FILES_RETRY_AFTER_S: Final = 5
_OTHER_REFUSAL: Final = 400
_OTHER_FAILURE: Final = 502


class XrpcError(Exception):
    """An answer that is an error: HTTP status, error name, message for a person."""

    def __init__(
        self,
        status: int,
        name: str | None = None,
        message: str | None = None,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        """`retry_after_s` tells the client in a header when to try again."""
        # Other statuses come from the services that requests are proxied to.
        other = DEFAULT_ERRORS[_OTHER_REFUSAL if status < 500 else _OTHER_FAILURE]
        default_name, default_message = DEFAULT_ERRORS.get(status, other)
        self.status = status
        self.name = name or default_name
        self.message = message or default_message
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    def response(self) -> web.Response:
        """The JSON answer."""
        body = orjson.dumps({"error": self.name, "message": self.message})
        response = web.Response(
            status=self.status, body=body, content_type="application/json", charset="utf-8"
        )
        if self.retry_after_s is not None:
            response.headers[hdrs.RETRY_AFTER] = str(self.retry_after_s)
        return response


def invalid_request(message: str, name: str = "InvalidRequest") -> XrpcError:
    """A 400 that a client can act on."""
    return XrpcError(400, name, message)


def out_of_files() -> XrpcError:
    """A 503: as many files are open as may be."""
    message = "The server has reached its limit of open files. Try again later."
    return XrpcError(503, message=message, retry_after_s=_FILES_RETRY_AFTER_S)


def auth_required(message: str, name: str = "AuthenticationRequired") -> XrpcError:
    """A 401: the caller is not known, or not allowed."""
    return XrpcError(401, name, message)
