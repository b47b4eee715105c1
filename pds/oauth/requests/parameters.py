"""`AuthorizationParameters`: the validated parameters of an authorization request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True, frozen=True)
class AuthorizationParameters:
    """Parameters that were checked against the client's metadata, in the form they are stored."""

    json: Mapping[str, Any]
    """Every parameter by its name, as the reference stores them."""

    @classmethod
    def from_json(cls, column: str) -> AuthorizationParameters:
        """Parse a `parameters` column."""
        return cls(orjson.loads(column))

    def to_json(self) -> str:
        """Return the value of a `parameters` column."""
        return orjson.dumps(self.json).decode()

    def having(self, **changes: Any) -> AuthorizationParameters:
        """Return a copy with some parameters set, such as `dpop_jkt`."""
        return AuthorizationParameters({**self.json, **changes})

    def _text(self, name: str) -> str | None:
        value = self.json.get(name)
        return value if isinstance(value, str) else None

    @property
    def client_id(self) -> str:
        """The client that asks."""
        return str(self.json["client_id"])

    @property
    def redirect_uri(self) -> str:
        """Where the answer goes; checking fills it in."""
        return str(self.json["redirect_uri"])

    @property
    def scope(self) -> str:
        """The scopes asked for, separated by spaces."""
        return self._text("scope") or ""

    @property
    def state(self) -> str | None:
        """Opaque to the server; the answer repeats it."""
        return self._text("state")

    @property
    def response_mode(self) -> str:
        """`query`, `fragment` or `form_post`."""
        return self._text("response_mode") or "query"

    @property
    def code_challenge(self) -> str | None:
        """SHA-256 of the client's verifier, base64url (PKCE)."""
        return self._text("code_challenge")

    @property
    def dpop_jkt(self) -> str | None:
        """SHA-256 thumbprint of the key that tokens will be bound to."""
        return self._text("dpop_jkt")

    @property
    def prompt(self) -> str | None:
        """`none`, `login`, `consent`, `select_account`, `create`, or None."""
        return self._text("prompt")

    @property
    def login_hint(self) -> str | None:
        """Handle or DID of the account that the client expects."""
        return self._text("login_hint")

    @property
    def ui_locales(self) -> str | None:
        """Languages of the person, best first, separated by spaces."""
        return self._text("ui_locales")
