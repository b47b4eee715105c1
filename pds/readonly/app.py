"""The HTTP application of the read-only server."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from pds.api.subscribe_repos import close_subscribers
from pds.context import CONTEXT, AppContext
from pds.logs.quick import Log, PlainLog
from pds.readonly.archive import ARCHIVE, Archive
from pds.readonly.methods import readonly_methods
from pds.readonly.pages import add_pages
from pds.requests.lines import LOGGER
from pds.requests.observer import observe
from pds.web.health import health
from pds.web.routes import add_routes_of_every_server
from pds.xrpc.errors import auth_required
from pds.xrpc.responses import add_common_headers, preflight
from pds.xrpc.router import XrpcRouter

_READING: Final = frozenset(("GET", "HEAD", "OPTIONS"))
_REFUSED_PATHS: Final = ("/oauth", "/@atproto", "/account", "/.well-known/oauth")


def make_readonly_app(
    ctx: AppContext, archive: Archive, *, request_log: Log | None = None
) -> web.Application:
    """Build the application around an open context and archive, which the caller closes.

    `request_log` gets a line for each request; without one they go to structlog.
    """
    app = web.Application(middlewares=[_refuse_writes])
    app[CONTEXT], app[ARCHIVE] = ctx, archive
    served = frozenset(method.nsid for method in readonly_methods())
    router = XrpcRouter(ctx, readonly_methods())

    async def answer(request: web.Request) -> web.StreamResponse:
        nsid = request.match_info["nsid"].rstrip("/")
        # A method that a full server has, a session for instance, is refused rather than unknown.
        if nsid not in served and ctx.lexicons.method(nsid) is not None:
            return _refusal(request)
        return await router.handle(request)

    app.router.add_get("/xrpc/_health", health)
    app.router.add_route("*", "/xrpc/{nsid:.*}", answer)
    add_pages(app)
    add_routes_of_every_server(app)
    ctx.requests.count_by_name(ctx.lexicons.iter_methods())
    observe(app, ctx, request_log or PlainLog(LOGGER))
    app.on_shutdown.append(_tell_subscribers)
    return app


@web.middleware
async def _refuse_writes(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.method not in _READING or request.path.startswith(_REFUSED_PATHS):
        return _refusal(request)
    return await handler(request)


def _refusal(request: web.Request) -> web.StreamResponse:
    if request.method == "OPTIONS":
        return preflight(request)
    response = auth_required("This PDS is read-only").response()
    add_common_headers(response.headers, private=False)
    return response


async def _tell_subscribers(app: web.Application) -> None:
    await close_subscribers(app[CONTEXT])
