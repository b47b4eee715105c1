"""The routes of a hold outside XRPC: its DID document, its page, and those of the operator."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from aiohttp import web

from pds.hold.hold import Hold
from pds.hold.operator.routes import hold_handlers
from pds.hold.web.page import crew_page_routes
from pds.web.context_keys import CONTEXT
from pds.web.operator.routes import operator_routes
from pds.xrpc.responses import add_common_headers


def hold_routes(hold: Hold) -> Iterator[web.RouteDef]:
    """Yield the routes that a server has because it is a hold."""
    yield web.get("/.well-known/did.json", _did_document)
    yield from crew_page_routes(hold)
    yield from operator_routes(hold_handlers(hold))


async def _did_document(request: web.Request) -> web.Response:
    """Return the hold's DID document, whatever host name the request has."""
    ctx = request.app[CONTEXT]
    document = ctx.did_resolver.find_own(ctx.settings.hold_did)
    if document is None:
        response = web.Response(status=404, text="There is no DID document")
    else:
        response = web.Response(
            body=orjson.dumps(document.raw), content_type="application/json", charset="utf-8"
        )
    add_common_headers(response.headers, private=False)
    return response
