"""Routes of a hold outside XRPC."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from aiohttp import web

from pds.web.context_keys import CONTEXT
from pds.xrpc.responses import add_common_headers


def hold_routes() -> Iterator[web.RouteDef]:
    """Yield the routes of a server that is a hold."""
    yield web.get("/.well-known/did.json", _did_document)


async def _did_document(request: web.Request) -> web.Response:
    """Return the hold's DID document, whatever the name by which the server is called."""
    document = request.app[CONTEXT].find_hold_document()
    if document is None:
        response = web.Response(status=404, text="There is no DID document")
    else:
        response = web.Response(
            body=orjson.dumps(document.raw), content_type="application/json", charset="utf-8"
        )
    add_common_headers(response.headers, private=False)
    return response
