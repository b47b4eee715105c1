"""`OAuthTokens`: issuing, refreshing, revoking and verifying the tokens of OAuth sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from pds.accounts.access_cutoffs import read_cutoff
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.errors import InvalidGrant, InvalidToken
from pds.oauth.replay.store import ReplayStore
from pds.oauth.tokens.access_tokens import AccessToken, AccessTokens
from pds.oauth.tokens.checks import check_client, check_code_grant
from pds.oauth.tokens.grants import CodeGrant, EndedSession, TokenClient, TokenResponse
from pds.oauth.tokens.identifiers import (
    is_code,
    is_refresh_token,
    is_token_id,
    new_refresh_token,
    new_token_id,
)
from pds.oauth.tokens.lifetimes import Lifetimes
from pds.oauth.tokens.rows import NewTokens, TokenRow, TokenRows
from pds.oauth.tokens.session import OAuthSession
from repo.syntax import Did

CHALLENGE_REPLAY_S: Final = 26.4 * 60 * 60
"""For how long a code challenge cannot be used for another code."""

_CODE_REPLAY_S: Final = 10 * 60
"""Longer than issuing tokens for a code takes."""
_REFRESH: Final = "refresh_token"

ExpandScope: TypeAlias = Callable[[str], Awaitable[str]]
"""Replaces the permission sets (`include:`) of a scope by what they permit. Raises `OAuthError`."""


class OAuthTokens:
    """The OAuth sessions in the table `token`."""

    def __init__(
        self,
        db: Database,
        replays: ReplayStore,
        *,
        jwt_secret: str,
        service_did: str,
        issuer: str,
        expand_scope: ExpandScope,
        clock: Clock,
    ) -> None:
        """`issuer` is the server's public URL, without a slash at its end."""
        self._db = db
        self._rows = TokenRows(db)
        self._replays = replays
        self._access = AccessTokens(jwt_secret=jwt_secret, service_did=service_did, issuer=issuer)
        self._expand_scope = expand_scope
        self._clock = clock

    async def issue(
        self,
        client: TokenClient,
        auth: ClientAuth,
        grant: CodeGrant,
        *,
        redirect_uri: str | None,
        code_verifier: str | None,
        jkt: str | None,
    ) -> TokenResponse:
        """Begin a session for a consumed code. `jkt` is the key of the request's proof.

        Raises `InvalidGrant`, `ReplayStoreFailed`, and what expanding the scope raises.
        """
        parameters = grant.parameters
        check_client(
            client,
            auth,
            jkt,
            client_id=grant.client_id,
            client_auth=grant.client_auth,
            parameters=parameters,
        )
        if jkt is None:
            raise InvalidGrant("DPoP JKT is required for DPoP bound access tokens")
        challenge = check_code_grant(
            parameters, redirect_uri=redirect_uri, code_verifier=code_verifier
        )
        if not await self._replays.unique("CodeChallenge", challenge, CHALLENGE_REPLAY_S):
            raise InvalidGrant("Code challenge already used")
        scope = await self._expand_scope(parameters.scope)
        now_s = self._clock()
        tokens = _new_tokens(client, auth, scope, created_s=now_s, now_s=now_s)

        def add() -> bool:
            if not self._rows.may_have_sessions(grant.did):
                return False
            if read_cutoff(self._db, grant.did) > grant.cutoff_s:
                # All sessions were ended meanwhile, and this one is of those.
                raise InvalidGrant("Invalid code")
            self._rows.add(
                tokens,
                did=grant.did,
                client_id=client.client_id,
                device_id=grant.device_id,
                parameters=parameters.having(dpop_jkt=jkt),
                code=grant.code,
            )
            return True

        if not await write(self._db, add):
            raise InvalidGrant("Account not found")
        if not await self._replays.unique("Code", grant.code, _CODE_REPLAY_S):
            # It came a second time before there was a session to end.
            await self.end_for_replayed(grant.code)
            raise InvalidGrant("Invalid code")
        return self._answer(grant.did, client, tokens, jkt)

    async def refresh(
        self, client: TokenClient, auth: ClientAuth, refresh_token: str, *, jkt: str | None
    ) -> TokenResponse:
        """Replace the tokens of a session. A token that was used before ends its session.

        Raises `InvalidGrant`; every failed check ends the session, too.
        """
        session = (
            self._rows.find_by_refresh_token(refresh_token)
            if is_refresh_token(refresh_token)
            else None
        )
        if session is None:
            raise InvalidGrant("Invalid refresh token")
        try:
            if session.refresh_token != refresh_token:
                raise _replayed()
            bound_to = self._check_refresh(client, auth, session, jkt)
            scope = await self._expand_scope(session.parameters.scope)
            now_s = self._clock()
            tokens = _new_tokens(client, auth, scope, created_s=session.created_s, now_s=now_s)
            if not await write(self._db, lambda: self._rows.rotate(session, tokens)):
                raise _replayed()
        except InvalidGrant:
            await write(self._db, lambda: self._rows.delete(session.id))
            raise
        return self._answer(session.did, client, tokens, bound_to)

    async def revoke(
        self, client: TokenClient, auth: ClientAuth, token: str, *, jkt: str | None
    ) -> None:
        """End the session of an access or refresh token, a code or a token id, if there is one.

        Raises `InvalidGrant` for another client's: the session stays.
        """
        session = self._find(token)
        if session is None:
            return
        _check_client_of(session, client, auth, jkt)
        await write(self._db, lambda: self._rows.delete(session.id))

    async def end_for_replayed(self, code: str) -> EndedSession | None:
        """End the session that was made from a code, which has now come a second time.

        A session that is just being made is ended by `issue`, and is not returned.
        """
        if not is_code(code):
            return None
        session = self._rows.find("code", code)
        if session is None and not await self._replays.unique("Code", code, _CODE_REPLAY_S):
            session = self._rows.find("code", code)
        if session is None:
            return None
        await write(self._db, lambda: self._rows.delete(session.id))
        return EndedSession(session.did, session.device_id)

    def verify(self, access_token: str, jkt: str | None) -> OAuthSession:
        """Check an access token that came with a proof of the key `jkt`; return its session.

        Reads the session's row every time, so that an ended session is refused at once.
        Raises `InvalidToken`, `InvalidDpopProof`, `DatabaseError`.
        """
        now_s = self._clock()
        token = self._access.read(access_token, now_s=now_s)
        token.check_bound_to(jkt)
        found = self._rows.find_granted(token.token_id)
        if found is None:
            raise InvalidToken("Invalid token")
        session, bound_to = found
        if session.did != token.did or bound_to != jkt:
            raise InvalidToken("Invalid token")
        if session.expires_at <= now_s:
            raise InvalidToken("Token expired")
        if "atproto" not in session.scope.split():
            raise InvalidToken("Invalid scope")
        return session

    def is_current(self, token_id: str) -> bool:
        """Whether the session of an access token that was verified goes on, with that token."""
        return self._rows.is_current(token_id)

    def ensure_current(self, did: Did, token_id: str, issued_at: float) -> None:
        """Raise `InvalidToken` if the session of a token that was verified has ended."""
        if not self.is_current(token_id):
            raise InvalidToken("Invalid token")

    def _check_refresh(
        self, client: TokenClient, auth: ClientAuth, session: TokenRow, jkt: str | None
    ) -> str:
        """Check that a session may be refreshed now; return the key that it is bound to."""
        _check_client_of(session, client, auth, jkt)
        if _REFRESH not in client.grant_types:
            raise InvalidGrant("Refresh token grant not allowed")
        Lifetimes.of(has_long_sessions=client.has_long_sessions).check_refresh(
            created_s=session.created_s, updated_s=session.updated_s, now_s=self._clock()
        )
        bound_to = session.parameters.dpop_jkt
        if bound_to is None:
            raise InvalidGrant("DPoP JKT is required for DPoP bound access tokens")
        return bound_to

    def _find(self, token: str) -> TokenRow | None:
        """Return the session of whatever a client may want to revoke."""
        if is_token_id(token):
            return self._rows.find("tokenId", token)
        if is_code(token):
            return self._rows.find("code", token)
        if is_refresh_token(token):
            return self._rows.find_by_refresh_token(token)
        try:
            access = self._access.read_expired(token)
        except InvalidToken:
            return None
        return self._rows.find("tokenId", access.token_id)

    def _answer(self, did: Did, client: TokenClient, tokens: NewTokens, jkt: str) -> TokenResponse:
        access = AccessToken(tokens.token_id, did, jkt, tokens.expires_s)
        return TokenResponse(
            access_token=self._access.create(
                access, client_id=client.client_id, now_s=tokens.now_s
            ),
            refresh_token=tokens.refresh_token,
            scope=tokens.scope,
            expires_in=int(tokens.expires_s - tokens.now_s),
            sub=did,
        )


def _new_tokens(
    client: TokenClient, auth: ClientAuth, scope: str, *, created_s: float, now_s: float
) -> NewTokens:
    """Return tokens for a session that began at `created_s`. Raises `InvalidGrant`."""
    lifetimes = Lifetimes.of(has_long_sessions=client.has_long_sessions)
    return NewTokens(
        token_id=new_token_id(),
        refresh_token=new_refresh_token() if _REFRESH in client.grant_types else None,
        client_auth=auth,
        scope=scope,
        now_s=now_s,
        expires_s=lifetimes.access_expiry(created_s=created_s, now_s=now_s),
    )


def _check_client_of(
    session: TokenRow, client: TokenClient, auth: ClientAuth, jkt: str | None
) -> None:
    check_client(
        client,
        auth,
        jkt,
        client_id=session.client_id,
        client_auth=session.client_auth,
        parameters=session.parameters,
    )


def _replayed() -> InvalidGrant:
    return InvalidGrant("Refresh token replayed")
