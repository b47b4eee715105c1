"""One client request that the entryway answers: forwarded, and the answer read as a whole.

The entryway is the operator's own, but may still be slow or broken. An exchange is limited in time
and size, and each client gets a share of the exchanges under way.
"""

from __future__ import annotations

import asyncio
import base64
import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import hdrs
from multidict import CIMultiDict

from identity.did_document import ATPROTO_PDS
from identity.http import FetchError, FetchTimeout
from pds.monitoring.requests.client_address import FORWARDED_FOR
from pds.proxy.answers import json_object, read_answer
from pds.proxy.errors import call_failed, invalid_answer
from pds.proxy.target import ProxyTarget
from pds.service_auth.jwt import create_service_jwt
from pds.xrpc.auth import method_of
from pds.xrpc.call import Answer, JsonBytes, XrpcCall
from pds.xrpc.errors import invalid_request

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.proxy.answers import UpstreamAnswer

TOTAL_S: Final = 30.0
"""How long the entryway may take for an answer, however steadily it sends."""


async def ask(
    call: XrpcCall, authorization: str | None, *, json: dict[str, Any] | None = None
) -> Answer:
    """Forward a call to the entryway, and return its answer.

    `json` is the body, by default the client's. Raises `XrpcError`: the entryway's own error, or
    502 if there is no usable answer. Raises `TooBusy`.
    """
    nsid = method_of(call.request)
    schema = call.ctx.lexicons.method(nsid)
    if schema is None:
        raise LookupError(f"there is no Lexicon for {nsid}")
    body = None
    if schema.input_encoding is not None:
        body = _encode(call.body if json is None else json)
    query = call.request.rel_url.raw_query_string if schema.kind == "query" else ""
    path = f"/xrpc/{nsid}{f'?{query}' if query else ''}"
    answer = await _exchange(call, path, _headers(call, authorization), body)
    if not 200 <= answer.status < 300:
        raise answer.error or invalid_answer()
    if not schema.has_output:
        return None
    json_object(answer)
    return JsonBytes(answer.body)


def service_token(ctx: AppContext, did: str, nsid: str) -> str:
    """Return the header with which an account calls a method of the entryway, by its signing key.

    The token is never reused, since some of the methods give full access to the account. Raises
    what `ActorStore.key` raises.
    """
    key = ctx.actor_store.key(did)
    token = create_service_jwt(
        key, iss=did, aud=entryway_of(ctx).did, now_s=int(time.time()), lxm=nsid
    )
    return f"Bearer {token}"


def as_sent(call: XrpcCall) -> str | None:
    """Return the client's own header, if any. Raises `XrpcError` for one valid only here."""
    header = call.request.headers.get(hdrs.AUTHORIZATION)
    if "DPoP" in call.request.headers or (header or "").partition(" ")[0].lower() == "dpop":
        raise invalid_request("DPoP requests cannot be proxied")
    return header


def as_administrator(ctx: AppContext) -> str:
    """Return the Authorization header of the entryway's administrator."""
    credentials = f"admin:{ctx.settings.entryway_admin_password}".encode()
    return f"Basic {base64.b64encode(credentials).decode()}"


def entryway_of(ctx: AppContext) -> ProxyTarget:
    """Return the entryway. Raises `RuntimeError` if there is none."""
    if ctx.entryway is None:
        raise RuntimeError("this server stands behind no entryway")
    return ProxyTarget(ctx.entryway.url, ctx.entryway.did, ATPROTO_PDS, trusted=True)


def _headers(call: XrpcCall, authorization: str | None) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict({hdrs.ACCEPT: "application/json"})
    if authorization is not None:
        headers[hdrs.AUTHORIZATION] = authorization
    client = call.ctx.client_addresses.of(call.request)
    if client.ip is not None:
        # The entryway counts logins by address, too.
        headers[FORWARDED_FOR] = client.text
    return headers


def _encode(json: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(json)
    except orjson.JSONEncodeError as exc:  # nested deeper than any method needs
        raise invalid_request("the input cannot be sent on") from exc


async def _exchange(
    call: XrpcCall, path: str, headers: CIMultiDict[str], body: bytes | None
) -> UpstreamAnswer:
    ctx, target, verb = call.ctx, entryway_of(call.ctx), call.request.method
    if body is not None:
        headers[hdrs.CONTENT_TYPE] = "application/json"
    if verb == hdrs.METH_HEAD:
        verb = hdrs.METH_GET
    try:
        async with asyncio.timeout(TOTAL_S):
            return await read_answer(
                ctx,
                call.request,
                target,
                verb,
                path,
                headers,
                body,
                max_bytes=ctx.settings.fetch.max_response_bytes,
            )
    except TimeoutError as exc:
        failure = FetchTimeout(target.url, f"no whole answer within {TOTAL_S:g} s")
        raise call_failed(target, failure) from exc
    except FetchError as exc:
        raise call_failed(target, exc) from exc
