"""Blob answers: bytes that a stranger uploaded, and that no browser may run."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from actor_store.blob_store.base import OpenBlob
from actor_store.blob_store.s3_links import BlobLinks
from pds.xrpc.responses import SAFE_CONTENT, add_common_headers
from pds.xrpc.streaming import send_stream
from repo.cid import Cid

_TEXT_TYPES: Final = ("application/json", "application/javascript")


async def send_blob(
    request: web.Request, blob: OpenBlob, *, cid: Cid, mime_type: str, private: bool
) -> web.StreamResponse:
    """Send an open blob and close it. `private` marks an answer that depends on the caller."""
    async with blob:
        response = web.StreamResponse()
        response.content_type, response.content_length = "application/octet-stream", blob.size
        response.headers.update(_headers(cid, mime_type))
        add_common_headers(response.headers, private=private)
        return await send_stream(request, response, aiter(blob))


async def find_redirect(
    request: web.Request, links: BlobLinks, did: str, cid: Cid, *, mime_type: str
) -> web.Response | None:
    """Return a redirect to a blob's bytes at S3 or a CDN; None if the bucket does not have them."""
    headers = _headers(cid, mime_type)
    link = await links.find(
        did,
        cid,
        method=request.method,
        content_type=headers[hdrs.CONTENT_TYPE],
        disposition=headers[hdrs.CONTENT_DISPOSITION],
    )
    if link is None:
        return None
    # Without a lifetime, no cache keeps it: the link ends, and the blob may be taken down.
    response = web.Response(status=302, headers=SAFE_CONTENT)
    response.headers[hdrs.LOCATION] = link
    return response


def _headers(cid: Cid, mime_type: str) -> dict[str, str]:
    """Return headers that keep a browser from running the upload or guessing its type."""
    is_text = mime_type.startswith("text/") or mime_type in _TEXT_TYPES
    return {
        hdrs.CONTENT_TYPE: f"{mime_type}; charset=utf-8" if is_text else mime_type,
        hdrs.CONTENT_DISPOSITION: f'attachment; filename="{cid}"',
        **SAFE_CONTENT,
    }
