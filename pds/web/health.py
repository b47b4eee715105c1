"""`/xrpc/_health`: whether the server can do its work, for load balancers and containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import hdrs, web

from pds.config.addresses import PRIVATE_NETWORKS
from pds.rate_limits.errors import TooManyRequests
from pds.web.context_keys import CONTEXT, READ_CONTEXT
from pds.xrpc.auth import admin
from pds.xrpc.errors import XrpcError
from pds.xrpc.responses import add_common_headers

if TYPE_CHECKING:
    from pds.monitoring.health.probes import Failure


async def health(request: web.Request) -> web.Response:
    """Answer 200 with the version, or 503; neighbours and the administrator get the reasons."""
    ctx = request.app[READ_CONTEXT]
    failures = await ctx.health.failures()
    body: dict[str, object] = {"version": ctx.settings.version}
    if failures:
        body["error"] = "Service Unavailable"
        if await _may_know(request):
            body["checks"] = [_as_json(failure) for failure in failures]
    response = web.Response(
        status=503 if failures else 200,
        body=orjson.dumps(body),
        content_type="application/json",
        charset="utf-8",
    )
    add_common_headers(response.headers, private=False)
    return response


async def _may_know(request: web.Request) -> bool:
    ip = request.app[READ_CONTEXT].client_addresses.of(request).ip
    if ip is not None and any(ip in network for network in PRIVATE_NETWORKS):
        return True
    ctx = request.app.get(CONTEXT)
    if ctx is None or hdrs.AUTHORIZATION not in request.headers:
        return False
    try:
        await admin(ctx, request)
    except (XrpcError, TooManyRequests):
        return False
    return True


def _as_json(failure: Failure) -> dict[str, str]:
    return {"check": failure.check, "reason": failure.reason, "remedy": failure.remedy}
