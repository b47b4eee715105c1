"""`Client`: an app that asks for access to accounts, as its metadata describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pds.jose.jwks import Jwks
from pds.oauth.clients.client_id import LOOPBACK_ORIGIN
from pds.oauth.clients.metadata import ClientMetadata
from pds.oauth.clients.redirect_uris import redirect_uri_matches
from pds.oauth.tokens.grants import TokenClient


@dataclass(slots=True, frozen=True)
class Client:
    """A client whose metadata keeps every rule."""

    client_id: str
    metadata: ClientMetadata
    keys: Jwks = field(default_factory=lambda: Jwks(()))
    """Public keys with which it signs assertions and request objects; none if it is public."""
    is_trusted: bool = False
    """Whether the operator vouches for it (`PDS_OAUTH_TRUSTED_CLIENTS`)."""

    @property
    def is_confidential(self) -> bool:
        """Whether it proves with a key that it is itself."""
        return self.metadata.token_endpoint_auth_method != "none"  # noqa: S105 - no secret

    @property
    def for_tokens(self) -> TokenClient:
        """What its tokens depend on."""
        return TokenClient(
            client_id=self.client_id,
            auth_method="private_key_jwt" if self.is_confidential else "none",
            grant_types=frozenset(self.metadata.grant_types),
            # A trusted client of ours would have them, too; there is none.
            has_long_sessions=self.is_confidential,
        )

    @property
    def is_loopback(self) -> bool:
        """Whether it runs on the person's own machine, under no name of its own."""
        return self.client_id.startswith(LOOPBACK_ORIGIN)

    @property
    def host(self) -> str:
        """The host that vouches for it, for people to read; `localhost` if it is loopback."""
        return urlsplit(self.client_id).hostname or ""

    @property
    def default_redirect_uri(self) -> str | None:
        """Where answers go without a redirect_uri in the request: only one place can be meant."""
        uris = self.metadata.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def has_redirect_uri(self, uri: str) -> bool:
        """Whether answers may go to `uri`."""
        return any(redirect_uri_matches(one, uri) for one in self.metadata.redirect_uris)
