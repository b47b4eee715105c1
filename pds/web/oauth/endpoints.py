"""The endpoints for clients: pushed requests, tokens, revocation.

Spec: https://www.rfc-editor.org/rfc/rfc9126, https://www.rfc-editor.org/rfc/rfc6749#section-5,
https://www.rfc-editor.org/rfc/rfc7009, https://www.rfc-editor.org/rfc/rfc9449#section-8
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import orjson
import structlog
from aiohttp import hdrs, web

from database.errors import DatabaseError
from pds.fairness.turns import TooBusy
from pds.monitoring.requests.request_info import promise_headers
from pds.oauth.errors import InvalidDpopProof, OAuthError
from pds.oauth.provider import OAuth
from pds.oauth.replay.errors import ReplayStoreFailed
from pds.peers.link import PeerGone
from pds.rate_limits.errors import TooManyRequests
from pds.rate_limits.limiter import RateLimiter
from pds.web.oauth.documents import PAR_PATH, REVOKE_PATH, TOKEN_PATH
from pds.web.oauth.payload import read_payload
from pds.xrpc.errors import XrpcError
from pds.xrpc.oauth_access import NONCE_HEADER, dpop_challenge
from pds.xrpc.whole_answer import WholeAnswer, lines_of

_log = structlog.get_logger(__name__)

_Do: TypeAlias = Callable[[Mapping[str, Any], str | None], Awaitable[dict[str, Any]]]

_HEADERS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "Content-Type,DPoP",
    "Access-Control-Max-Age": "86400",
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
}
_LINES: Final = lines_of({**_HEADERS, hdrs.CONTENT_TYPE: "application/json"})
_PREFLIGHT: Final = {
    name: value for name, value in _HEADERS.items() if name.startswith("Access-Control-")
}


def endpoint_routes(oauth: OAuth, limiter: RateLimiter | None) -> Iterator[web.RouteDef]:
    """Yield the endpoints of an authorization server. `limiter` counts pushed requests."""
    endpoints = Endpoints(oauth, limiter)
    yield web.post(PAR_PATH, endpoints.push)
    yield web.post(TOKEN_PATH, endpoints.token)
    yield web.post(REVOKE_PATH, endpoints.revoke)
    for path in (PAR_PATH, TOKEN_PATH, REVOKE_PATH):
        yield web.options(path, _preflight)
    yield web.route("*", PAR_PATH, _only_post)


class Endpoints:
    """Answers clients in the words of OAuth."""

    def __init__(self, oauth: OAuth, limiter: RateLimiter | None) -> None:
        self._oauth = oauth
        self._limiter = limiter

    async def push(self, request: web.Request) -> WholeAnswer:
        """Store an authorization request, and return the name by which the browser brings it."""

        async def push(payload: Mapping[str, Any], jkt: str | None) -> dict[str, Any]:
            # Anyone may push, and what is pushed is kept; who asks for tokens has been here before.
            if self._limiter is not None:
                await self._limiter.count_request(request, PAR_PATH)
            stored = await self._oauth.push(payload, jkt)
            expires_in = int(stored.expires_at - time.time())
            return {"request_uri": stored.request_uri, "expires_in": expires_in}

        return await self._answer(request, push, status=201)

    async def token(self, request: web.Request) -> WholeAnswer:
        """Exchange a code or a refresh token for tokens."""

        async def exchange(payload: Mapping[str, Any], jkt: str | None) -> dict[str, Any]:
            return (await self._oauth.token(payload, jkt)).to_json()

        return await self._answer(request, exchange)

    async def revoke(self, request: web.Request) -> WholeAnswer:
        """End a session; what is no token of the client succeeds, too (RFC 7009, section 2.2)."""

        async def revoke(payload: Mapping[str, Any], jkt: str | None) -> dict[str, Any]:
            await self._oauth.revoke(payload, jkt)
            return {}

        return await self._answer(request, revoke)

    async def _answer(self, request: web.Request, do: _Do, *, status: int = 200) -> WholeAnswer:
        try:
            payload = await read_payload(request)
            jkt = await self._oauth.proofs.check(
                request.headers.getall("DPoP", ()),
                method=request.method,
                url=self._oauth.issuer + request.path,
            )
            answer = _json(status, await do(payload, jkt))
        except OAuthError as exc:
            answer = _refusal(exc)
        except XrpcError as exc:
            answer = _error(exc.status, "invalid_request", exc.message)
        except TooManyRequests as exc:
            answer = _error(429, "temporarily_unavailable", str(exc))
        except (PeerGone, TooBusy) as exc:
            answer = _error(503, "temporarily_unavailable", str(exc))
        except (DatabaseError, ReplayStoreFailed):
            _log.exception("an OAuth request failed", path=request.path)
            answer = _error(500, "server_error", "Server error")
        promise_headers(request, {NONCE_HEADER: self._oauth.proofs.next_nonce()})
        return answer


def _refusal(exc: OAuthError) -> WholeAnswer:
    if not isinstance(exc, InvalidDpopProof):
        return _error(400, exc.error, exc.description)
    answer = _error(401, exc.error, exc.description)
    told = {"error": exc.error, "error_description": exc.description}
    answer.headers[hdrs.WWW_AUTHENTICATE] = dpop_challenge(told)
    answer.headers.add(hdrs.ACCESS_CONTROL_EXPOSE_HEADERS, hdrs.WWW_AUTHENTICATE)
    return answer


def _error(status: int, error: str, description: str) -> WholeAnswer:
    return _json(status, {"error": error, "error_description": description})


def _json(status: int, body: Mapping[str, Any]) -> WholeAnswer:
    return WholeAnswer(status, _LINES, orjson.dumps(body))


async def _preflight(_request: web.Request) -> web.Response:
    return web.Response(headers=_PREFLIGHT)


async def _only_post(_request: web.Request) -> web.Response:
    return web.Response(status=405, headers={hdrs.ALLOW: "OPTIONS, POST"})
