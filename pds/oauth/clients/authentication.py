"""`ClientAuth`: how a client authenticated, as the reference stores it in JSON columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

PRIVATE_KEY_JWT: Final = "private_key_jwt"
LEGACY_PRIVATE_KEY_JWT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""What versions of the reference before 0.4.100 wrote."""


@dataclass(slots=True, frozen=True)
class ClientAuth:
    """How a client authenticated: not at all, or with a key of its own (RFC 7523)."""

    method: Literal["none", "private_key_jwt"]
    alg: str | None = None
    kid: str | None = None
    jkt: str | None = None
    """SHA-512 thumbprint of the key (RFC 7638), base64url."""
    jti: str | None = None
    exp: int | None = None

    def to_json(self) -> str:
        """Return the value of a `clientAuth` column."""
        if self.method == "none":
            return '{"method":"none"}'
        members = {"method": self.method, "jti": self.jti, "exp": self.exp}
        members |= {"jkt": self.jkt, "alg": self.alg, "kid": self.kid}
        return orjson.dumps({k: v for k, v in members.items() if v is not None}).decode()

    @classmethod
    def from_json(cls, column: str) -> ClientAuth | None:
        """Parse a `clientAuth` column; None for a request whose client has not authenticated."""
        value: dict[str, Any] | None = orjson.loads(column)
        if value is None:
            return None
        if value["method"] not in (PRIVATE_KEY_JWT, LEGACY_PRIVATE_KEY_JWT):
            return cls("none")
        known = {name: value.get(name) for name in ("alg", "kid", "jkt", "jti", "exp")}
        return cls("private_key_jwt", **known)
