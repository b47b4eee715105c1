"""The HTTP application: the XRPC router on one route, and the few routes beside it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain
from typing import Final

from aiohttp import web

from database.open_files import OpenFiles
from pds.api import METHODS
from pds.api.sync.subscribe_repos import close_subscribers
from pds.context import AppContext
from pds.entryway.methods import behind_entryway
from pds.hold.hold import HOLD, Hold
from pds.hold.methods import with_hold
from pds.hold.web.routes import hold_routes
from pds.monitoring.logs.quick import Log, PlainLog
from pds.monitoring.requests.lines import LOGGER
from pds.proxy.unserved import proxy_unknown_method
from pds.rate_limits.limiter import RateLimiter
from pds.rate_limits.method_limits import OF_PAGES
from pds.rate_limits.opening import open_rate_limiter
from pds.read_context import ReadContext
from pds.repos.damage import keep_unknown_back
from pds.server.connections import HEALTH_PATH, TimedRunner
from pds.server.observer import add_observed
from pds.web.context_keys import CONTEXT, READ_CONTEXT
from pds.web.health import health
from pds.web.operator.routes import operator_routes
from pds.web.routes import web_routes
from pds.xrpc.auth import Authentication
from pds.xrpc.call import XrpcCall
from pds.xrpc.methods import METHOD_TABLE, MethodTable, XrpcMethod
from pds.xrpc.router import XrpcRouter

RATE_LIMITER: Final = web.AppKey("rate_limiter", RateLimiter)
"""Set only in an application that has limits."""
KEEP_ALIVE_S: Final = 90.0
SHUTDOWN_S: Final = 0.5
"""How long a request that is cut off may take to clean up. See `pds.server.draining`."""


def make_app(
    ctx: AppContext,
    *,
    more_routes: Iterable[web.RouteDef] = (),
    request_log: Log | None = None,
) -> web.Application:
    """Build the application around an open context, which the caller closes.

    `more_routes` come before the route that finds nothing. `request_log` gets a line for each
    request; without one they go to structlog.
    """
    app = web.Application(client_max_size=ctx.settings.service.blob_upload_limit_bytes)
    app[CONTEXT] = app[READ_CONTEXT] = ctx
    table = method_table(ctx)
    app[METHOD_TABLE] = table
    hold = _add_hold(app, Hold(ctx)) if ctx.settings.hold.enabled else None
    limiter = _add_rate_limiter(app, table)
    router = make_router(ctx, table, rate_limiter=limiter)
    routes = (
        web.get(HEALTH_PATH, health),
        web.route("*", "/xrpc/{nsid:.*}", router.handle),
        *more_routes,
        *operator_routes(),
        *(hold_routes(hold) if hold else ()),
        *web_routes(ctx, limiter),
    )
    ctx.durability.on_failure(partial(keep_unknown_back, ctx))
    # Including the methods of other services, to which requests are proxied.
    ctx.requests.count_by_name(ctx.lexicons.iter_methods())
    add_observed(app, routes, ctx, request_log or PlainLog(LOGGER))
    app.on_shutdown.append(end_subscriptions)
    if ctx.peers.is_alone:
        app.on_startup.append(_follow_events)
    return app


def method_table(ctx: AppContext) -> MethodTable:
    """Return all methods, as they are served behind an entryway if there is one."""
    methods: Iterable[XrpcMethod] = chain.from_iterable(METHODS)
    if ctx.entryway is not None:
        methods = behind_entryway(methods)
    if ctx.settings.hold.enabled:
        methods = with_hold(methods)
    return MethodTable(methods)


def make_router(
    ctx: AppContext, methods: Iterable[XrpcMethod], *, rate_limiter: RateLimiter | None = None
) -> XrpcRouter[XrpcCall]:
    """Return the router of a full server, which proxies unknown methods to other services."""
    return XrpcRouter(
        ctx,
        partial(XrpcCall, ctx),
        methods,
        authentication=Authentication(ctx),
        rate_limiter=rate_limiter,
        unknown=partial(proxy_unknown_method, ctx),
    )


def _add_hold(app: web.Application, hold: Hold) -> Hold:
    app[HOLD] = hold

    async def start(_app: web.Application) -> None:
        try:
            await hold.start()
        except BaseException:
            # aiohttp cleans up only what has started.
            await hold.close()
            raise

    async def close(_app: web.Application) -> None:
        await hold.close()

    app.on_startup.append(start)
    app.on_cleanup.append(close)
    return hold


def _add_rate_limiter(app: web.Application, table: MethodTable) -> RateLimiter | None:
    """Add the rate limiter; return None unless the operator has enabled limits."""
    ctx = app[CONTEXT]
    limiter = open_rate_limiter(
        ctx.settings, ctx.client_addresses, {**table.limits, **OF_PAGES}, ctx.counters
    )
    if limiter is not None:
        app[RATE_LIMITER] = limiter
        app.on_cleanup.append(_close_rate_limiter)
    return limiter


async def _close_rate_limiter(app: web.Application) -> None:
    await app[RATE_LIMITER].close()


def make_runner(app: web.Application) -> TimedRunner:
    """Return a runner that serves `app` as the server does; it binds no address yet."""
    ctx = app.get(READ_CONTEXT)
    return TimedRunner(
        app,
        files=OpenFiles() if ctx is None else ctx.open_files,
        client_of=_peer if ctx is None else partial(_group_of, ctx),
        access_log=None,
        keepalive_timeout=KEEP_ALIVE_S,
        shutdown_timeout=SHUTDOWN_S,
        # Proxied bodies stay as they came; see `pds.xrpc.decoding`.
        auto_decompress=False,
        # The caller handles signals: it stops more than this application.
        handle_signals=False,
    )


def _group_of(ctx: ReadContext, request: web.BaseRequest) -> str:
    return ctx.client_addresses.of(request).group


def _peer(request: web.BaseRequest) -> str:
    return request.remote or ""


async def _follow_events(app: web.Application) -> None:
    # Only now can relays that hear of an event reach the server.
    ctx = app[CONTEXT]
    ctx.event_log.on_append(ctx.crawlers.notify_soon)


async def end_subscriptions(app: web.Application) -> None:
    """Tell firehose subscribers that the server is stopping."""
    await close_subscribers(app[READ_CONTEXT])
