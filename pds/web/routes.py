"""Routes outside XRPC: the front page, robots.txt, well-known documents, the TLS check."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, TypeAlias

import orjson
import structlog
from aiohttp import web

from database.errors import DatabaseError
from pds.context import AppContext
from pds.entryway.exchange import entryway_of
from pds.rate_limits.limiter import RateLimiter
from pds.read_context import ReadContext
from pds.web.account.routes import account_routes
from pds.web.admin.routes import admin_routes
from pds.web.browse.front import front_routes
from pds.web.context_keys import CONTEXT, READ_CONTEXT
from pds.web.migrate.routes import migrate_routes
from pds.web.oauth.documents import resource_metadata
from pds.web.oauth.routes import oauth_routes
from pds.web.pages.site import Site
from pds.web.pages.style import style_routes
from pds.web.sign_in.passkey_script import passkey_script_route
from pds.xrpc.responses import add_common_headers, preflight

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.Response]]

_log = structlog.get_logger(__name__)

_PACKAGES: Final = {
    **{area: f"pds.web.{area}" for area in ("account", "admin", "migrate", "oauth", "sign_in")},
    "factors": "pds.web.account.factors",
}
"""The packages with templates, by the area that templates name."""
_ROBOTS: Final = """# Hello!
# This server holds public repositories of the AT Protocol; crawling them is welcome.
User-agent: *
Allow: /
"""


def web_routes(ctx: AppContext, limiter: RateLimiter | None = None) -> Iterator[web.RouteDef]:
    """Yield the routes outside `/xrpc/`. `limiter` counts sign-ins; None without rate limits."""
    yield _get("/.well-known/change-password", _change_password)
    if ctx.entryway is not None:
        yield _get("/.well-known/oauth-protected-resource", _protected_resource)
        yield web.get("/account{path:(/.*)?}", _at_entryway)
        yield web.get("/migrate{path:(/.*)?}", _at_entryway)
    site = Site(ctx, limiter, _PACKAGES)
    yield passkey_script_route()
    if ctx.oauth is not None:
        yield from oauth_routes(site, ctx.oauth)
        yield from account_routes(site, ctx.oauth)
        yield from migrate_routes(site, ctx.oauth)
    yield from admin_routes(site)
    yield from style_routes(ctx.settings.branding, ctx.fetch_http)
    yield from front_routes(ctx)
    yield from routes_of_every_server()


def routes_of_every_server() -> Iterator[web.RouteDef]:
    """Yield the routes that a read-only server has, too; any other path is a 404."""
    yield _get("/robots.txt", _robots)
    yield _get("/.well-known/atproto-did", _atproto_did)
    yield _get("/tls-check", _tls_check)
    yield web.options("/{path:.*}", _preflight)
    yield web.route("*", "/{path:.*}", _for_every_origin(_not_found))


def _get(path: str, handler: _Handler) -> web.RouteDef:
    return web.get(path, _for_every_origin(handler))


def _for_every_origin(handler: _Handler) -> _Handler:
    """Let any web page read the answers, since clients in browsers resolve handles, too."""

    async def answer(request: web.Request) -> web.Response:
        response = await handler(request)
        add_common_headers(response.headers, private=False)
        return response

    return answer


async def _robots(_request: web.Request) -> web.Response:
    return web.Response(text=_ROBOTS)


async def _atproto_did(request: web.Request) -> web.Response:
    """Return the DID of the hosted handle that equals the request's host name."""
    ctx = request.app[READ_CONTEXT]
    host = ctx.client_addresses.host_of(request)
    try:
        # An entryway answers for its handles itself.
        did = _hosted_did(ctx, host) if ctx.settings.entryway_service is None else None
    except DatabaseError:
        _log.exception("handle lookup failed", host=host)
        return web.Response(status=500, text="Internal Server Error")
    if did is None:
        return web.Response(status=404, text="User not found")
    return web.Response(text=did)


async def _change_password(request: web.Request) -> web.Response:
    ctx = request.app[CONTEXT]
    if ctx.entryway is not None:
        location = f"{ctx.entryway.url}{request.path}"
    else:
        location = f"{ctx.settings.public_url}/account/reset-password"
    return web.Response(status=302, headers={"Location": location})


async def _at_entryway(request: web.Request) -> web.Response:
    """Send people to the server that owns the logins."""
    ctx = request.app[CONTEXT]
    location = f"{entryway_of(ctx).url}{request.path_qs}"
    return web.Response(status=302, headers={"Location": location})


async def _protected_resource(request: web.Request) -> web.Response:
    """Return the OAuth protected resource metadata (RFC 9728): where accounts here log in."""
    ctx = request.app[CONTEXT]
    response = _json(200, resource_metadata(ctx.settings.public_url, entryway_of(ctx).url))
    response.headers["Access-Control-Allow-Headers"] = "*"
    return response


async def _tls_check(request: web.Request) -> web.Response:
    """Return whether Caddy may request a certificate for `domain`: ours, or one of our handles."""
    ctx = request.app[READ_CONTEXT]
    domain = request.query.get("domain", "").lower()
    if not domain:
        return _tls_error(400, "InvalidRequest", "bad or missing domain query param")
    if domain == ctx.settings.hostname or _is_host_of_hold(ctx, domain):
        return _json(200, {"success": True})
    if not domain.endswith(tuple(ctx.settings.service_handle_domains)):
        return _tls_error(400, "InvalidRequest", "handles are not provided on this domain")
    try:
        did = _hosted_did(ctx, domain)
    except DatabaseError:
        _log.exception("handle lookup failed", host=domain)
        return _tls_error(500, "InternalServerError", "Internal Server Error")
    if did is None:
        return _tls_error(404, "NotFound", "handle not found for this domain")
    return _json(200, {"success": True})


async def _preflight(request: web.Request) -> web.Response:
    return preflight(request)


async def _not_found(request: web.Request) -> web.Response:
    return web.Response(
        status=404,
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Security-Policy": "default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        },
        text="<!DOCTYPE html>\n<title>Error</title>\n"
        f"<pre>Cannot {html.escape(request.method)} {html.escape(request.path)}</pre>\n",
    )


def _hosted_did(ctx: ReadContext, host: str) -> str | None:
    if _is_host_of_hold(ctx, host):
        return ctx.settings.hold_did
    domains = ctx.settings.service_handle_domains
    if not any(host == domain[1:] or host.endswith(domain) for domain in domains):
        return None
    account = ctx.accounts.find_account(host)
    return account.did if account else None


def _is_host_of_hold(ctx: ReadContext, host: str) -> bool:
    settings = ctx.settings
    return settings.hold.enabled and host == settings.hold_host.partition(":")[0]


def _tls_error(status: int, error: str, message: str) -> web.Response:
    return _json(status, {"error": error, "message": message})


def _json(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(body), content_type="application/json", charset="utf-8"
    )
