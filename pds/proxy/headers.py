"""Headers that pass between a client and the service that its request goes on to.

Nothing else passes: cookies, addresses and credentials stay here, and what a service says of
caching or of cookies is not for this server's origin. Nor is any page of its.
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
    """What a service is told of a client's request; `token` speaks for the account."""
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
    """What a service is told of a body that goes on to it as it comes."""
    return {name: request.headers[name] for name in _OF_BODIES if name in request.headers}


def answer_headers(given: MultiMapping[str], *, private: bool, as_sent: bool) -> CIMultiDict[str]:
    """What a client is told of a service's answer, beside what every answer has.

    `as_sent` if the bytes of the body stay as the service has sent them, compressed or not.
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
    """Whether an answer is what nearly all are, and no browser shows as a page."""
    media_type = headers.get("Content-Type", "").partition(";")[0]
    return media_type.strip().lower() == "application/json"


def _value(headers: MultiMapping[str], name: str) -> str:
    """The value of a header; lines of the same name make a list (RFC 9110, section 5.3)."""
    return ", ".join(headers.getall(name))
