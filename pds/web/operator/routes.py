"""The operator's routes: password check, JSON, errors as in XRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from pds.repos.damage import report_damage
from pds.web.context_keys import CONTEXT
from pds.web.operator.blob_stores import count_blobs, move_blobs
from pds.web.operator.call import OperatorCall, OperatorHandler
from pds.web.operator.failures import for_operator
from pds.web.operator.firehose import list_subscribers
from pds.web.operator.imports import import_car, list_imports, missing_blobs, put_blob
from pds.web.operator.keys import replace_key
from pds.web.operator.quota import set_quota
from pds.web.operator.second_factors import reset_second_factors
from pds.web.operator.sequencer import raise_seq
from pds.web.operator.usage import account_usage, list_usage, server_storage
from pds.xrpc.auth import admin, note_action
from pds.xrpc.error_map import to_xrpc

BLOB_STORES: Final = "/_holdfast/blob-stores/{store}"
ROUTES: Final[Mapping[tuple[str, str], OperatorHandler]] = {
    ("GET", "/_holdfast/usage"): list_usage,
    ("GET", "/_holdfast/usage/{account}"): account_usage,
    ("GET", "/_holdfast/storage"): server_storage,
    ("GET", "/_holdfast/firehose/subscribers"): list_subscribers,
    ("POST", "/_holdfast/import"): import_car,
    ("GET", "/_holdfast/imports"): list_imports,
    ("GET", "/_holdfast/blobs/{account}"): missing_blobs,
    ("PUT", "/_holdfast/blobs/{account}/{cid}"): put_blob,
    ("GET", BLOB_STORES): count_blobs,
    ("POST", BLOB_STORES): move_blobs,
    ("PUT", "/_holdfast/signing-key/{account}"): replace_key,
    ("PUT", "/_holdfast/quota/{account}"): set_quota,
    ("DELETE", "/_holdfast/second-factors/{account}"): reset_second_factors,
    ("PUT", "/_holdfast/sequencer"): raise_seq,
}
"""Everything below `/_holdfast/` that each server has, by verb and path."""

_READING: Final = frozenset({"GET", "HEAD"})


def operator_routes(
    handlers: Mapping[tuple[str, str], OperatorHandler] = ROUTES,
) -> Iterator[web.RouteDef]:
    """Yield the routes of `handlers`, served only to the administrator."""
    # `get` also answers HEAD.
    adding = {"GET": web.get, "POST": web.post, "PUT": web.put, "DELETE": web.delete}
    for (verb, path), handler in handlers.items():
        yield adding[verb](path, _for_operator(handler))


def _for_operator(handler: OperatorHandler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        ctx = request.app[CONTEXT]
        try:
            await admin(ctx, request)
            response = _json(await handler(OperatorCall.of(request)))
            if request.method not in _READING:
                # The path without its query, which may have an e-mail address.
                subject = request.match_info.get("account", "")
                await note_action(ctx, request, f"{request.method} {_route_of(request)}", subject)
        except Exception as exc:
            error = to_xrpc(for_operator(report_damage(ctx, exc)))
            if error.status == 500:
                raise  # It is answered and logged like any other.
            response = error.response()
        response.headers["Cache-Control"] = "no-store"
        return response

    return answer


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", charset="utf-8")
