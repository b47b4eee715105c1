"""`OAuthTokens`: issuing, refreshing, revoking and verifying the tokens of OAuth sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from database.connection import Database
from database.timestamps import Clock
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.replay.store import ReplayStore
from pds.oauth.tokens.grants import CodeGrant, EndedSession, TokenClient, TokenResponse
from pds.oauth.tokens.session import ListedSession, OAuthSession
from repo.syntax import Did

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

        Raises `InvalidGrant`, and what expanding the scope raises.
        """
        raise NotImplementedError

    async def refresh(
        self, client: TokenClient, auth: ClientAuth, refresh_token: str, *, jkt: str | None
    ) -> TokenResponse:
        """Replace the tokens of a session. A token that was used before ends its session.

        Raises `InvalidGrant`; every failed check ends the session, too.
        """
        raise NotImplementedError

    async def revoke(
        self, client: TokenClient, auth: ClientAuth, token: str, *, jkt: str | None
    ) -> None:
        """End the session of an access or refresh token, a code or a token id, if there is one.

        Raises `InvalidRequest` for what is none of these, `InvalidGrant` for another client's.
        """
        raise NotImplementedError

    async def end_for_replayed(self, code: str) -> EndedSession | None:
        """End the session that was made from a code, which has now come a second time."""
        raise NotImplementedError

    def verify(self, access_token: str, jkt: str | None) -> OAuthSession:
        """Check an access token that came with a proof of the key `jkt`; return its session.

        Reads the session's row every time, so that an ended session is refused at once.
        Raises `InvalidToken`, `InvalidDpopProof`, `DatabaseError`.
        """
        raise NotImplementedError

    def list_of(self, did: Did) -> list[ListedSession]:
        """Return the account's sessions that can still be used or refreshed, latest first."""
        raise NotImplementedError

    async def end(self, did: Did, token_id: str) -> bool:
        """End one session of an account; return whether there was one."""
        raise NotImplementedError

    async def end_all(self, did: Did) -> None:
        """End every session of an account."""
        raise NotImplementedError

    async def remove_expired(self) -> int:
        """Delete sessions that no token can continue; return how many. Takes small steps."""
        raise NotImplementedError
