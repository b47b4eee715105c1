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

        now = self._kept(move)
        session = None if now is None else now.session
        tokens = None if session is None else self._opened(move.did, session)
        return OtherServer(self._ctx.proxy_http, move.url, tokens, on_tokens=keep)

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
        now = self._kept(move)
        if now is not None and now.session is not None:
            self.end_one(move.did, move.url, now.session)
            await self._moves.set_session(move, None)

    def end_one(self, did: Did, url: str, session: bytes) -> None:
        """End a session in the background, if the server answers."""
        tokens = self._opened(did, session)
        if tokens is not None:
            server = OtherServer(self._ctx.proxy_http, url)
            nsid = "com.atproto.server.deleteSession"
            with suppress(TooBusy):  # It expires there by itself.
                call = partial(server.procedure, nsid, token=tokens.refresh)
                self._ctx.later.start(_quietly(call))

    def _seal(self, did: Did, tokens: Tokens) -> bytes:
        text = orjson.dumps([tokens.access, tokens.refresh])
        return self._sealer.seal(text, purpose=f"move {did}")

    def _opened(self, did: Did, session: bytes) -> Tokens | None:
        text = self._sealer.open(session, purpose=f"move {did}")
        return None if text is None else Tokens(*orjson.loads(text))

    def _kept(self, move: Move) -> Move | None:
        """Return the move as it is now."""
        now = self._moves.find(move.did)
        # The session of a later move is one at another server, which must not see it.
        return now if now is not None and now.id == move.id else None


async def _quietly(call: Callable[[], Awaitable[object]]) -> None:
    # A server that does not answer forgets the session by itself.
    with suppress(MoveProblem, TimeoutError):
        async with asyncio.timeout(_ENDING_S):
            await call()
