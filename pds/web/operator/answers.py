"""What all routes for the operator have in common: the password, JSON, errors as in XRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import orjson
from aiohttp import web

from pds.accounts.account import ActorAccount
from pds.context import CONTEXT, AppContext
from pds.repos.damage import report_damage
from pds.xrpc.auth import admin
from pds.xrpc.error_map import to_xrpc
from pds.xrpc.errors import XrpcError, invalid_request

OperatorHandler: TypeAlias = Callable[[AppContext, web.Request], Awaitable[dict[str, Any]]]


def for_operator(handler: OperatorHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Serve `handler` to the administrator alone."""

    async def answer(request: web.Request) -> web.Response:
        ctx = request.app[CONTEXT]
        try:
            await admin(ctx, request)
            response = _json(await handler(ctx, request))
        except Exception as exc:
            error = to_xrpc(report_damage(ctx, exc))
            if error.status == 500:
                raise  # It is answered and logged like any other.
            response = error.response()
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def get_account(ctx: AppContext, request: web.Request) -> ActorAccount:
    """The account that the path names by DID or handle, in any state. Raises `XrpcError`."""
    identifier = request.match_info["account"]
    account = ctx.accounts.find_account(identifier, include_inactive=True)
    if account is None:
        raise XrpcError(404, "AccountNotFound", f"There is no account {identifier[:300]} here")
    return account


def get_limit(request: web.Request, *, default: int, most: int) -> int:
    """The parameter `limit`. Raises `XrpcError`."""
    text = request.query.get("limit", str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise invalid_request(f"limit must be a number from 1 to {most}")
    return int(text)


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", charset="utf-8")
