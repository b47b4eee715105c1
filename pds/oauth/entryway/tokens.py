"""`EntrywayTokens`: verifying the access tokens that an entryway signs."""

from __future__ import annotations

import time

from database.timestamps import Clock
from pds.accounts.errors import ExpiredToken
from pds.accounts.session_tokens import SessionTokens
from pds.oauth.errors import InvalidToken
from pds.oauth.tokens.access_tokens import AccessTokenReader
from pds.oauth.tokens.session import OAuthSession
from repo.syntax import Did


class EntrywayTokens:
    """Verifies tokens by themselves: the sessions are at the entryway.

    They are valid until they expire, or until the access of their account is cut off here.
    """

    def __init__(
        self, reader: AccessTokenReader, cutoffs: SessionTokens, *, clock: Clock = time.time
    ) -> None:
        self._reader = reader
        self._cutoffs = cutoffs
        self._clock = clock

    def verify(self, access_token: str, jkt: str | None) -> OAuthSession:
        """Check an access token that came with a proof of the key `jkt`.

        The scope of the session is as in the token. Raises `InvalidToken`, `InvalidDpopProof`.
        """
        token = self._reader.read(access_token, now_s=self._clock())
        token.check_bound_to(jkt)
        did = Did(token.did)
        self.ensure_current(did, token.token_id, token.issued_at)
        return OAuthSession(
            did,
            token.client_id,
            token.scope,
            token.token_id,
            None,
            token.expires_at,
            issued_at=token.issued_at,
        )

    def ensure_current(self, did: Did, token_id: str, issued_at: float) -> None:
        """Raise `InvalidToken` if the account's tokens of that time are revoked here."""
        try:
            self._cutoffs.ensure_current(did, issued_at)
        except ExpiredToken as exc:
            raise InvalidToken(str(exc)) from exc
