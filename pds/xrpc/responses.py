"""Answers: common headers, JSON, DID documents, entity tags, compression."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs, web
from aiohttp.web import ContentCoding
from multidict import CIMultiDict

from identity.resolver import DidResolutionError
from pds.xrpc.accept_encoding import packing_of
from pds.xrpc.call import Answer, JsonBytes
from pds.xrpc.whole_answer import WholeAnswer, lines_of

if TYPE_CHECKING:
    from pds.context import AppContext
    from repo.syntax import Did

_PUBLIC: Final = {"Access-Control-Allow-Origin": "*", "Vary": "Accept-Encoding"}
_PRIVATE: Final = {
    **_PUBLIC,
    "Cache-Control": "private",
    "Vary": "Authorization, Accept-Encoding",
}
SAFE_CONTENT: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}
"""For bytes that a stranger has chosen: a browser must neither guess their type nor run them."""
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
# Copied for each answer, which is cheaper than filling a new one.
_PUBLIC_JSON: Final = CIMultiDict(_PUBLIC | _JSON)
_PRIVATE_JSON: Final = CIMultiDict(_PRIVATE | _JSON)
_PUBLIC_LINES: Final = lines_of(_PUBLIC)
_PRIVATE_LINES: Final = lines_of(_PRIVATE)
_JSON_LINE: Final = lines_of(_JSON)
_COMPRESS_FROM_BYTES: Final = 1024
_WHOLE_UP_TO_BYTES: Final = 64 * 1024
"""Joining a head and a longer body would copy much."""
LARGE_ANSWER_BYTES: Final = 1024 * 1024
"""Larger answers are rare, unless someone means to cause many."""
_PREFLIGHT_METHODS: Final = "GET,HEAD,PUT,PATCH,POST,DELETE"
_PREFLIGHT_MAX_AGE_S: Final = "86400"


def respond(request: web.Request, answer: Answer, *, private: bool) -> web.StreamResponse:
    """Turn what a handler returned into a response.

    `private` marks an answer that depends on who asked.
    """
    if isinstance(answer, dict):
        return _json_answer(request, orjson.dumps(answer), 200, private=private)
    if isinstance(answer, JsonBytes):
        return _json_answer(request, answer.data, answer.status, private=private)
    response = web.Response() if answer is None else answer
    if not response.prepared:
        if answer is None:
            response.headers.popall(hdrs.CONTENT_TYPE, None)
        add_common_headers(response.headers, private=private)
    return response


def _json_answer(
    request: web.Request, data: bytes, status: int, *, private: bool
) -> web.StreamResponse:
    """Make a JSON answer like `json_response`, in one piece if it is short and goes as it is."""
    headers = request.headers
    if len(data) > _WHOLE_UP_TO_BYTES or (
        hdrs.ACCEPT_ENCODING in headers and _packing_for(request, len(data)) is not None
    ):
        return json_response(request, data, private=private, status=status)
    lines = _PRIVATE_LINES if private else _PUBLIC_LINES
    if request.method != "POST":
        tag = _tag_of(data)
        lines += f"{hdrs.ETAG}: {tag}\r\n"
        if hdrs.IF_NONE_MATCH in headers and _has_already(request, tag):
            return WholeAnswer(304, lines)
    return WholeAnswer(status, lines + _JSON_LINE, data)


def json_response(
    request: web.Request, data: bytes, *, private: bool, status: int = 200
) -> web.Response:
    """Make a JSON answer; for a GET with a weak entity tag, or a 304 if the client has it."""
    headers = (_PRIVATE_JSON if private else _PUBLIC_JSON).copy()
    if request.method != "POST":
        tag = headers[hdrs.ETAG] = _tag_of(data)
        if _has_already(request, tag):
            del headers[hdrs.CONTENT_TYPE]
            return web.Response(status=304, headers=headers)
    response = web.Response(status=status, body=data, headers=headers)
    compress_if_worthwhile(request, response, len(data))
    return response


def body_length(response: web.Response) -> int:
    """Return how many bytes of an answer, before compression, are in memory."""
    body = response.body
    return len(body) if isinstance(body, bytes) else 0


def _tag_of(data: bytes) -> str:
    return f'W/"{blake2b(data, digest_size=15).hexdigest()}"'


def _has_already(request: web.Request, tag: str) -> bool:
    """Return whether the client or a cache has the answer already (RFC 9110, section 13.1.2)."""
    known = request.headers.get(hdrs.IF_NONE_MATCH)
    if known is None:
        return False
    # Weak comparison: proxies add and drop the prefix when they compress.
    accepted = (tag.removeprefix("W/"), "*")
    return any(one.strip().removeprefix("W/") in accepted for one in known.split(","))


def compress_if_worthwhile(
    request: web.Request, response: web.StreamResponse, size_bytes: int
) -> None:
    """Compress an answer as the client prefers; a short one only if it refuses plain answers."""
    coding = _packing_for(request, size_bytes)
    if coding is not None:
        response.enable_compression(coding)


def _packing_for(request: web.Request, size_bytes: int) -> ContentCoding | None:
    packing = packing_of(request)
    worthwhile = size_bytes > _COMPRESS_FROM_BYTES or packing.must
    return packing.coding if worthwhile else None


def add_common_headers(headers: CIMultiDict[str], *, private: bool) -> None:
    """Let any web page read the answer; let shared caches keep it only if it is public."""
    headers.update(_PRIVATE if private else _PUBLIC)


def preflight(request: web.Request) -> web.Response:
    """Answer OPTIONS: everything is allowed from everywhere, since tokens are not cookies."""
    headers: dict[str, Any] = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": _PREFLIGHT_METHODS,
        "Access-Control-Max-Age": _PREFLIGHT_MAX_AGE_S,
        "Vary": "Access-Control-Request-Headers",
    }
    asked = request.headers.get("Access-Control-Request-Headers")
    if asked:
        headers["Access-Control-Allow-Headers"] = asked
    return web.Response(status=204, headers=headers)


async def find_did_doc(ctx: AppContext, did: Did) -> dict[str, Any]:
    """Return `didDoc` if it can be resolved; it is optional in the answer."""
    try:
        document = await ctx.did_resolver.resolve(did)
    except DidResolutionError:
        return {}
    return {"didDoc": document.raw}
