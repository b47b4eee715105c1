"""The XRPC router: one HTTP route for every method.

A request first counts towards the limit of all requests of a client, and is then checked in the
reference's order: method, parameters, credentials, body, rate limits of the method.
Spec: https://atproto.com/specs/xrpc
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import structlog
from aiohttp import hdrs, web

from pds.fairness.presence import ClientLeft, tells_of_leaving, while_present
from pds.monitoring.requests.request_info import note_caller, request_id_of
from pds.peers.link import PeerGone
from pds.repos.damage import report_damage
from pds.translations.asked import ask_for_languages
from pds.xrpc import body
from pds.xrpc.call import Answer
from pds.xrpc.credentials import (
    AdminCredentials,
    Anonymous,
    Credentials,
    RefreshCredentials,
    UserCredentials,
)
from pds.xrpc.error_map import is_out_of_files, to_xrpc
from pds.xrpc.errors import XrpcError, invalid_request
from pds.xrpc.methods import C, C_contra, Method
from pds.xrpc.query import parse_query
from pds.xrpc.responses import (
    LARGE_ANSWER_BYTES,
    add_common_headers,
    body_length,
    preflight,
    respond,
)
from repo.lexicon import MethodSchema
from repo.record import LARGE_BYTES

if TYPE_CHECKING:
    from pds.read_context import ReadContext
    from pds.xrpc.auth import Authentication

UnknownMethod: TypeAlias = Callable[[web.Request, str], Awaitable[web.StreamResponse]]
"""Answers a request for a method, given by its NSID, that has no handler here."""

C_co = TypeVar("C_co", covariant=True)


class MakeCall(Protocol[C_co]):
    """Creates the call object of one kind of server, such as `partial(XrpcCall, ctx)`."""

    def __call__(
        self,
        request: web.Request | None,
        params: dict[str, Any],
        credentials: Credentials,
        body: dict[str, Any],
        /,
    ) -> C_co: ...


class Limiter(Protocol[C_contra]):
    """Counts requests, and refuses those over the limit."""

    async def count_request(self, request: web.Request, nsid: str) -> None:
        """Count a request before anything else about it is known."""

    async def count_call(self, request: web.Request, nsid: str, call: C_contra) -> None:
        """Count a call that is about to be handled."""


_log = structlog.get_logger(__name__)
_ANONYMOUS = Anonymous()
_REQUEST_TIMEOUT = 408
_QUERY_VERBS = frozenset({"GET", "HEAD"})


@dataclass(slots=True, frozen=True)
class _Route(Generic[C]):
    method: Method[C]
    schema: MethodSchema
    is_query: bool
    is_stream: bool
    parses_params: bool
    takes_json: bool
    takes_large: bool


class _UpgradeRequired(XrpcError):
    """A subscription was requested without an upgrade."""

    def __init__(self, nsid: str) -> None:
        super().__init__(
            426,
            message=f"{nsid} is a WebSocket, and this request has no `Upgrade: websocket` with "
            "`Connection: Upgrade`. If the client has sent them, a proxy before this server has "
            "to pass them on.",
        )

    def response(self) -> web.Response:
        """The JSON answer, with the headers of RFC 9110, section 15.5.22."""
        response = super().response()
        response.headers.update({hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade"})
        return response


async def refuse_unknown(_request: web.Request, _nsid: str) -> web.Response:
    """The `UnknownMethod` of a server that proxies nothing. Raises `XrpcError` 501."""
    raise XrpcError(501)


class XrpcRouter(Generic[C]):
    """Serves `/xrpc/{nsid}`.

    `make_call` builds what a handler gets from the request, its parameters, its credentials and its
    body. Without `authentication`, every caller is anonymous.
    """

    def __init__(
        self,
        ctx: ReadContext,
        make_call: MakeCall[C],
        methods: Iterable[Method[C]],
        *,
        authentication: Authentication | None = None,
        rate_limiter: Limiter[C] | None = None,
        unknown: UnknownMethod = refuse_unknown,
    ) -> None:
        self._ctx = ctx
        self._make_call = make_call
        self._authentication = authentication
        self._rate_limiter = rate_limiter
        self._unknown = unknown
        self._routes = {method.nsid: self._route_for(method) for method in methods}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; every error becomes an XRPC error response."""
        if request.method == "OPTIONS":
            return preflight(request)
        nsid = request.match_info["nsid"].rstrip("/")
        route = self._routes.get(nsid)
        private = route is None or route.method.auth is not None
        try:
            if self._rate_limiter is not None:
                # First, since a request refused below costs something as well, and may be a guess.
                await self._rate_limiter.count_request(request, nsid)
            if route is None:
                return await self._unknown(request, nsid)
            return await self._dispatch(request, route)
        except (web.HTTPException, ClientLeft):
            raise  # aiohttp answers the former; for the latter there is nobody to answer.
        except Exception as exc:
            if tells_of_leaving(request, exc):
                raise ClientLeft from exc
            error = self._error(request, nsid, exc)
            response = error.response()
            add_common_headers(response.headers, private=private)
            if request.content.exception() is not None or error.status == _REQUEST_TIMEOUT:
                response.force_close()  # The rest of the body cannot be skipped.
            return response

    async def call(self, nsid: str, given: dict[str, Any], credentials: Credentials) -> Answer:
        """Call a procedure with a JSON body in this process. Raises what its handler raises."""
        handler = self._routes[nsid].method.handler
        checked = self._ctx.lexicons.validate_input(nsid, given)
        return await handler(self._make_call(None, {}, credentials, checked))

    async def _dispatch(self, request: web.Request, route: _Route[C]) -> web.StreamResponse:
        method = route.method
        _check_verb(request, route)
        params = self._parse_params(request, method.nsid) if route.parses_params else {}
        credentials: Credentials = _ANONYMOUS
        if method.auth is not None and self._authentication is not None:
            credentials = await self._authentication.verify(method.auth, request)
        if isinstance(credentials, UserCredentials | RefreshCredentials):
            note_caller(request, credentials.did)
        call = self._make_call(request, params, credentials, {})
        if route.is_query:
            return await self._answer(route, call)
        # What changes something may cause a mail.
        ask_for_languages(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        raw = await self._read_body(request, route)
        if raw is None:
            return await self._answer(route, call)
        if len(raw) < LARGE_BYTES or not route.takes_large:
            call.body = self._parse_body(route, raw)
            return await self._answer(route, call)
        async with self._ctx.large_work.turn(*self._ctx.askers()) as call.large:
            call.body = await call.large.run(partial(self._parse_body, route, raw))
            return await self._answer(route, call)

    async def _answer(self, route: _Route[C], call: C) -> web.StreamResponse:
        method = route.method
        if call.body and self._authentication is not None:
            # A body may take half a minute to arrive, and its session may have ended meanwhile.
            self._authentication.ensure_current(call.credentials)
        if self._rate_limiter is not None:
            await self._rate_limiter.count_call(call.request, method.nsid, call)
        answer = await method.handler(call)
        if not route.is_query:
            # Not only where all requests are: clients understand the errors of this router.
            await self._ctx.durability.settle()
        if isinstance(call.credentials, AdminCredentials) and not route.is_query:
            await self._note_action(call, method.nsid)
        response = respond(call.request, answer, private=method.auth is not None)
        if type(response) is web.Response and body_length(response) > LARGE_ANSWER_BYTES:
            holders = self._ctx.askers()
            async with self._ctx.large_work.answers.turn(call.request, *holders):
                await response.prepare(call.request)
                await response.write_eof()
        return response

    async def _note_action(self, call: C, nsid: str) -> None:
        if self._authentication is not None:
            await self._authentication.note_action(call.request, nsid, call.body)

    def _parse_params(self, request: web.Request, nsid: str) -> dict[str, Any]:
        pairs = parse_query(request.rel_url.raw_query_string)
        return self._ctx.lexicons.parse_params(nsid, pairs)

    async def _read_body(self, request: web.Request, route: _Route[C]) -> bytes | None:
        """Read the JSON of a request; None if the method takes none."""
        if not route.schema.has_input:
            await body.check_absent(request)
            return None
        if route.method.body_optional and body.is_absent(request):
            return b""
        if not route.method.like_s3:
            body.check_encoding(request, route.schema)
        if not route.takes_json:
            body.check_decodable(request)
            return None
        if not route.takes_large or not body.may_be_large(request):
            return await body.read_json(request, route.method.max_body_bytes)
        holders = self._ctx.askers()
        with while_present(request):
            async with self._ctx.large_work.bodies.turn(*holders):
                return await body.read_json(request, route.method.max_body_bytes)

    def _parse_body(self, route: _Route[C], raw: bytes) -> dict[str, Any]:
        json = body.parse_json(raw)
        checked: dict[str, Any] = self._ctx.lexicons.validate_input(route.method.nsid, json)
        return checked

    def _error(self, request: web.Request, nsid: str, exc: Exception) -> XrpcError:
        error = to_xrpc(report_damage(self._ctx, exc))
        if is_out_of_files(exc):
            self._ctx.open_files.warn()
        if error.status == 500:
            # The id, which the log line has as well, is all that the caller learns.
            if isinstance(exc, PeerGone):
                _log.error("request failed", method=nsid, reason=str(exc))
            else:
                _log.error("request failed", method=nsid, exc_info=exc)
            error.message = f"{error.message} (request {request_id_of(request)})"
        return error

    def _route_for(self, method: Method[C]) -> _Route[C]:
        schema = self._ctx.lexicons.method(method.nsid)
        if schema is None:
            raise LookupError(f"there is no Lexicon for {method.nsid}")
        is_stream = schema.kind == "subscription"
        return _Route(
            method,
            schema,
            is_query=schema.kind != "procedure",
            is_stream=is_stream,
            # A subscription parses its own: it is refused by a frame, after the upgrade.
            parses_params=not is_stream and not method.own_params,
            takes_json=schema.input_encoding == "application/json",
            takes_large=method.max_body_bytes > body.JSON_LIMIT_BYTES,
        )


def _check_verb(request: web.Request, route: _Route[C]) -> None:
    verb = request.method
    if verb not in ("GET", "HEAD", "POST"):
        if verb == "PUT" and route.method.like_s3:
            return
        raise invalid_request("XRPC requests only supports GET and POST")
    if (verb in _QUERY_VERBS) != route.is_query:
        expected = "GET" if route.is_query else "POST"
        raise invalid_request(f"Incorrect HTTP method ({verb}) expected {expected}")
    if route.is_stream and not _is_upgrade(request):
        raise _UpgradeRequired(route.method.nsid)


def _is_upgrade(request: web.Request) -> bool:
    headers = request.headers
    return (
        headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        and "upgrade" in headers.get(hdrs.CONNECTION, "").lower()
    )
