"""Sessions at the other servers of moves: kept encrypted, and no longer than needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from pds.accounts.moves import Move
from pds.fairness.turns import TooBusy
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem
from pds.lifecycle.migration.other_server import OtherServer, Tokens
from pds.oauth.derived_secrets import derived_secret
from pds.second_factors.sealing import Sealer
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext

_LOGIN: Final = "com.atproto.server.createSession"
_LOGIN_PROBLEMS: Final = {
    "AuthFactorTokenRequired": Problem.FACTOR,
    "InvalidToken": Problem.FACTOR,
    "ExpiredToken": Problem.FACTOR,
    "RateLimitExceeded": Problem.AWAY,
}
_ENDING_S: Final = 10


class OtherSessions:
    """Begins, keeps and ends sessions, in the form in which the table of moves stores them."""

    def __init__(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self._moves = ctx.accounts.moves
        self._sealer = Sealer(derived_secret(ctx.settings.secrets.jwt_secret, "moves"))

    def server(self, move: Move) -> OtherServer:
        """Return the other server of a move, with the session there if it is kept."""

        async def keep(tokens: Tokens) -> None:
            await self._moves.set_session(move, self._seal(move.did, tokens))

        return OtherServer(self._ctx.proxy_http, move.url, self._tokens_of(move), on_tokens=keep)

    async def begin(self, server: OtherServer, did: Did, password: str, code: str) -> bytes:
        """Sign in at a server; `code` is that of a second factor. Raises `MoveProblem`."""
        body = {"identifier": did, "password": password}
        if code:
            body["authFactorToken"] = code
        try:
            answer = await server.procedure(_LOGIN, body, is_public=True)
        except OtherServerRefused as exc:
            kind = _LOGIN_PROBLEMS.get(exc.name, Problem.PASSWORD)
            raise MoveProblem(kind, exc.said) from exc
        return self.take(answer, did)

    def take(self, answer: dict[str, Any], did: Did) -> bytes:
        """Return the session in an answer, which must be the account's. Raises `MoveProblem`."""
        if answer.get("did") != did:
            raise MoveProblem(Problem.WRONG, "another DID")
        return self._seal(did, Tokens.parse(answer))

    async def end(self, move: Move) -> None:
        """End the session of a move, if the server answers, and forget it."""
        tokens = self._tokens_of(move)
        if tokens is not None:
            server = OtherServer(self._ctx.proxy_http, move.url)
            nsid = "com.atproto.server.deleteSession"
            with suppress(TooBusy):  # It expires there by itself.
                call = partial(server.procedure, nsid, token=tokens.refresh)
                self._ctx.later.start(_quietly(call))
        await self._moves.set_session(move, None)

    def _seal(self, did: Did, tokens: Tokens) -> bytes:
        text = orjson.dumps([tokens.access, tokens.refresh])
        return self._sealer.seal(text, purpose=f"move {did}")

    def _tokens_of(self, move: Move) -> Tokens | None:
        now = self._moves.find(move.did)
        # The session of a later move is one at another server, which must not see it.
        if now is None or now.id != move.id or now.session is None:
            return None
        text = self._sealer.open(now.session, purpose=f"move {move.did}")
        return None if text is None else Tokens(*orjson.loads(text))


async def _quietly(call: Callable[[], Awaitable[object]]) -> None:
    # A server that does not answer forgets the session by itself.
    with suppress(MoveProblem, TimeoutError):
        async with asyncio.timeout(_ENDING_S):
            await call()
