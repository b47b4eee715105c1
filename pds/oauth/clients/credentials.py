"""`ClientCredentials`: what a request to the token or PAR endpoint says about its client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pds.oauth.errors import OAuthError


@dataclass(slots=True, frozen=True)
class ClientCredentials:
    """The client_id, and the assertion of a confidential client (RFC 7523, section 2.2)."""

    client_id: str
    assertion: str | None
    assertion_type: str | None

    @classmethod
    def read(cls, payload: Mapping[str, object], malformed: type[OAuthError]) -> ClientCredentials:
        """Read them from the body of a request. Raises `malformed`."""
        client_id = _text(payload, "client_id", malformed)
        if not client_id:
            raise malformed("Client credentials missing")
        if "client_secret" in payload:
            raise malformed("Client credentials missing: client secrets are not supported")
        return cls(
            client_id,
            _text(payload, "client_assertion", malformed),
            _text(payload, "client_assertion_type", malformed),
        )


def _text(payload: Mapping[str, object], name: str, malformed: type[OAuthError]) -> str | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, str):
        raise malformed(f"Client credentials missing: {name} is not a string")
    return value
