"""Service answers that are read as a whole, to be modified or used by this server.

`fetch_json` is for handlers that may modify the AppView's answer:

    answer = await fetch_json(call, nsid="app.bsky.feed.getTimeline")
    if answer.rev is None or answer.json is None:
        return relay(call, answer)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from multidict import CIMultiDict, MultiMapping

from identity.http import FetchError
from pds.proxy.errors import call_failed, invalid_answer, refusal, unreachable
from pds.proxy.forwarding import open_upstream, path_of
from pds.proxy.headers import REPO_REV, answer_headers, request_headers
from pds.proxy.on_behalf import token_for
from pds.proxy.target import choose_service, locate
from pds.proxy.watch import Watch
from pds.xrpc.accept_encoding import PACKED, check_acceptable
from pds.xrpc.errors import XrpcError
from pds.xrpc.responses import compress_if_worthwhile

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.proxy.target import ProxyTarget
    from pds.xrpc.call import XrpcCall

_PACKED: Final = "gzip, deflate"
_PLAIN: Final = "identity;q=1, gzip;q=0.5, deflate;q=0.5"
_FAILURES: Final = 400


@dataclass(frozen=True)
class UpstreamAnswer:
    """An answer of a service, with any status, read completely and decompressed."""

    status: int
    headers: MultiMapping[str]
    """As the service sent them."""
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body as JSON, parsed on first use; None if it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def rev(self) -> str | None:
        """The rev up to which the service has indexed the account's repository, if it says so."""
        return self.headers.get(REPO_REV)

    @property
    def error(self) -> XrpcError | None:
        """The error to send to the client, if the service has refused."""
        return refusal(self.status, self.json) if self.status >= _FAILURES else None


async def fetch_json(call: XrpcCall, *, nsid: str) -> UpstreamAnswer:
    """Forward a query unchanged, with the caller's service token for `nsid`; read the answer.

    It goes where the `atproto-proxy` header says, or to the service configured for `nsid`. Raises
    what `token_for` raises, and `XrpcError`: 400 for a bad header or if neither names a service,
    406 for a client that accepts none of this server's encodings, 502 for a service that does not
    answer in time or whose answer exceeds `PDS_PROXY_MAX_RESPONSE_SIZE`.
    """
    ctx, request = call.ctx, call.request
    service = choose_service(ctx.settings, nsid, request)
    target = await locate(ctx.did_resolver, service)
    check_acceptable(request, PACKED)
    token = token_for(call, target.did, nsid)
    try:
        return await read_answer(
            ctx, request, target, "GET", path_of(request), request_headers(request, token)
        )
    except FetchError as exc:
        raise unreachable(target, exc) from exc


def relay(call: XrpcCall, answer: UpstreamAnswer) -> web.Response:
    """Relay a service's answer. Raises `XrpcError` if that is an error."""
    if answer.error is not None:
        raise answer.error
    headers = answer_headers(answer.headers, private=True, as_sent=False)
    response = web.Response(status=answer.status, headers=headers, body=answer.body)
    compress_if_worthwhile(call.request, response, len(answer.body))
    return response


async def call_service(
    call: XrpcCall,
    target: ProxyTarget,
    path: str,
    *,
    token: str | None = None,
    json: dict[str, Any] | None = None,
) -> UpstreamAnswer:
    """Send a request of this server's own on behalf of `call`: a POST if there is `json`.

    Raises `XrpcError`: the service's own error, or 502 if there is no answer.
    """
    headers: CIMultiDict[str] = CIMultiDict({"Accept": "application/json"})
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = None
    if json is not None:
        headers["Content-Type"] = "application/json"
        body = orjson.dumps(json)
    method = "GET" if body is None else "POST"
    try:
        answer = await read_answer(call.ctx, call.request, target, method, path, headers, body)
    except FetchError as exc:
        raise call_failed(target, exc) from exc
    if not 200 <= answer.status < 300:
        raise answer.error or invalid_answer()
    return answer


def json_object(answer: UpstreamAnswer) -> dict[str, Any]:
    """Return the JSON object that an answer must be. Raises `XrpcError` 502."""
    if not isinstance(answer.json, dict):
        raise invalid_answer()
    return answer.json


async def read_answer(
    ctx: AppContext,
    request: web.Request,
    target: ProxyTarget,
    method: str,
    path: str,
    headers: CIMultiDict[str],
    body: bytes | None = None,
    *,
    max_bytes: int | None = None,
) -> UpstreamAnswer:
    """Send one request to a service; the answer has any status. Raises `FetchError`, `TooBusy`.

    `max_bytes` limits the answer; the default is `PDS_PROXY_MAX_RESPONSE_SIZE`.
    """
    settings = ctx.settings
    limit_bytes = settings.proxy.max_response_bytes if max_bytes is None else max_bytes
    headers["Accept-Encoding"] = _PACKED if settings.proxy.prefer_compressed else _PLAIN
    with Watch(request, settings) as watch:
        watch.await_others()
        async with ctx.proxy_share.turn(target.operators_url):
            watch.await_head()
            upstream = await open_upstream(
                ctx, method, target, path, headers=headers, body=body, decompress=True
            )
            try:
                content = await upstream.read(limit_bytes, before_part=watch.await_part)
            finally:
                await upstream.close()
    return UpstreamAnswer(upstream.status, upstream.headers, content)
