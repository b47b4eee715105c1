"""Whom a server behind an entryway trusts, as the settings say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pds.accounts.session_tokens import TokenIssuer
from pds.proxy.target import ProxyTarget
from repo.keys import K256PublicKey

if TYPE_CHECKING:
    from pds.config import Settings


def find_entryway(settings: Settings) -> ProxyTarget | None:
    """The server that owns the logins; None if this one does."""
    service = settings.entryway_service
    return None if service is None else ProxyTarget(service.url, service.did, "", trusted=True)


def token_issuer(settings: Settings) -> TokenIssuer | None:
    """Who signs the session tokens; None if this server does."""
    service, key = settings.entryway_service, settings.entryway.jwt_verify_key_hex
    if service is None or key is None:
        return None
    return TokenIssuer(service.did, K256PublicKey.from_bytes(bytes.fromhex(key)))


def audiences_of(settings: Settings) -> tuple[str, ...]:
    """The DIDs that service tokens for this server are addressed to."""
    service = settings.entryway_service
    return (settings.service_did,) if service is None else (settings.service_did, service.did)
