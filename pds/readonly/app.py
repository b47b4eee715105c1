"""The HTTP application of the read-only server."""

from __future__ import annotations

from functools import partial
from typing import Final

from aiohttp import web

from pds.monitoring.logs.quick import Log, PlainLog
from pds.monitoring.requests.lines import LOGGER
from pds.read_context import ReadContext
from pds.readonly.archive import ARCHIVE, Archive
from pds.readonly.methods import readonly_methods
from pds.readonly.pages import page_routes
from pds.server.app import end_subscriptions
from pds.server.observer import add_observed
from pds.web.context_keys import READ_CONTEXT
from pds.web.health import health
from pds.web.routes import routes_of_every_server
from pds.xrpc.call import ReadCall
from pds.xrpc.errors import XrpcError, auth_required
from pds.xrpc.responses import add_common_headers
from pds.xrpc.router import XrpcRouter

_REFUSED_PATHS: Final = ("/oauth", "/@atproto", "/account", "/.well-known/oauth")
"""Prefixes of paths that need an account."""
_READ_ONLY: Final = auth_required("This PDS is read-only")
_WRITING: Final = ("POST", "PUT", "PATCH", "DELETE")


def make_readonly_app(
    ctx: ReadContext, archive: Archive, *, request_log: Log | None = None
) -> web.Application:
    """Build the application around an open context and archive, which the caller closes.

    `request_log` gets a line for each request; without it, the lines go to structlog.
    """
    app = web.Application()
    app[READ_CONTEXT], app[ARCHIVE] = ctx, archive
    served = frozenset(method.nsid for method in readonly_methods())
    router = XrpcRouter(ctx, partial(ReadCall, ctx), readonly_methods())

    async def answer(request: web.Request) -> web.StreamResponse:
        nsid = request.match_info["nsid"].rstrip("/")
        is_read = nsid in served and request.method not in _WRITING
        if is_read or request.method == "OPTIONS":
            return await router.handle(request)
        # A method of a full server, such as one for sessions, is refused rather than unknown.
        is_known = request.method in _WRITING or ctx.lexicons.method(nsid) is not None
        return _error(_READ_ONLY if is_known else XrpcError(501))

    routes = (
        web.get("/xrpc/_health", health),
        *(web.route(method, "/{path:.*}", _refuse) for method in _WRITING),
        web.route("*", "/xrpc/{nsid:.*}", answer),
        *(web.get(path + "{rest:.*}", _refuse) for path in _REFUSED_PATHS),
        *page_routes(ctx, archive),
        *routes_of_every_server(),
    )
    ctx.requests.count_by_name(ctx.lexicons.iter_methods())
    add_observed(app, routes, ctx, request_log or PlainLog(LOGGER))
    app.on_shutdown.append(end_subscriptions)
    return app


async def _refuse(_request: web.Request) -> web.Response:
    return _error(_READ_ONLY)


def _error(error: XrpcError) -> web.Response:
    response = error.response()
    add_common_headers(response.headers, private=False)
    return response
