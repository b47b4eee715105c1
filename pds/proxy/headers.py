"""Headers that are forwarded between a client and the service its request is proxied to.

All others are dropped: cookies, addresses and credentials stay here, and a service's caching and
cookie headers are not valid for this server's origin. Its pages are not shown as pages, either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from multidict import CIMultiDict, MultiMapping

from pds.xrpc.responses import SAFE_CONTENT, add_common_headers

if TYPE_CHECKING:
    from aiohttp import web

REPO_REV: Final = "Atproto-Repo-Rev"

_ACCEPT_ENCODING: Final = "Accept-Encoding"
_OF_CLIENTS: Final = ("Accept-Language", "Atproto-Accept-Labelers", "X-Bsky-Topics")
_OF_BODIES: Final = ("Content-Type", "Content-Encoding", "Content-Length")
_EXTENSIONS: Final = "x-atproto-"
_OF_SERVICES: Final = (
    "Content-Type",
    "Content-Language",
    REPO_REV,
    "Atproto-Content-Labelers",
    "Retry-After",
)
_OF_BYTES: Final = ("Content-Length", "Content-Encoding")


def request_headers(request: web.Request, token: str | None) -> CIMultiDict[str]:
    """Return the headers of a client's request for a service; `token` authenticates the account."""
    given = request.headers
    headers = CIMultiDict({_ACCEPT_ENCODING: given.get(_ACCEPT_ENCODING) or "identity"})
    for name in _OF_CLIENTS:
        if name in given:
            headers[name] = _value(given, name)
    for name in given:
        if name[:10].lower() == _EXTENSIONS:
            headers[name] = _value(given, name)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def body_headers(request: web.Request) -> dict[str, str]:
    """Return the headers of a body that is forwarded as it arrives."""
    return {name: request.headers[name] for name in _OF_BODIES if name in request.headers}


def answer_headers(given: MultiMapping[str], *, private: bool, as_sent: bool) -> CIMultiDict[str]:
    """Return the headers of a service's answer for the client, with those of every answer.

    Set `as_sent` if the bytes of the body stay as the service sent them, compressed or not.
    """
    headers: CIMultiDict[str] = CIMultiDict()
    for name in (*_OF_SERVICES, *_OF_BYTES) if as_sent else _OF_SERVICES:
        if name in given:
            headers[name] = _value(given, name)
    if not _is_json(headers):
        headers.update(SAFE_CONTENT)
    add_common_headers(headers, private=private)
    return headers


def _is_json(headers: MultiMapping[str]) -> bool:
    """Return whether an answer is JSON, as nearly all are, which no browser shows as a page."""
    media_type = headers.get("Content-Type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def _value(headers: MultiMapping[str], name: str) -> str:
    """Return the value of a header; several lines of a name form a list (RFC 9110, section 5.3)."""
    return ", ".join(headers.getall(name))
