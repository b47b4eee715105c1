"""`OAuthAccess`: what is needed to check the access tokens of requests, whoever issues them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pds.oauth.dpop.proofs import DpopProofs
from pds.oauth.entryway.scope_references import ScopeReferences
from pds.oauth.tokens.session import OAuthSession
from repo.syntax import Did


class VerifiesTokens(Protocol):
    """Verifies the access tokens of one authorization server."""

    def verify(self, access_token: str, jkt: str | None) -> OAuthSession:
        """Check a token that came with a proof of the key `jkt`. Raises `OAuthError`."""

    def ensure_current(self, did: Did, token_id: str, issued_at: float) -> None:
        """Raise `InvalidToken` if a token that was verified is valid no longer."""


@dataclass(slots=True, frozen=True)
class OAuthAccess:
    """The checks of a request that comes with an access token."""

    url: str
    """The server's public URL, which proofs are made for, without a slash at its end."""
    proofs: DpopProofs
    tokens: VerifiesTokens
    references: ScopeReferences | None = None
    """Looks up the scopes that tokens only name; None if none do."""
