"""Keys of clients, which sign proofs and assertions: PyJWT is the other side."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1,
    "ES256K": ec.SECP256K1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


@dataclass(frozen=True)
class ClientKey:
    """A key pair, used with one algorithm."""

    alg: str
    private: Any
    kid: str | None = None

    @classmethod
    def new(cls, alg: str = "ES256", *, kid: str | None = None) -> ClientKey:
        """A new pair; all RSA keys of a run are one, for they are slow to make."""
        private: Any = ec.generate_private_key(CURVES[alg]()) if alg in CURVES else _rsa_key()
        return cls(alg, private, kid)

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, with nothing but its numbers."""
        kind: Any = ECAlgorithm if self.alg in CURVES else RSAAlgorithm
        full = kind.to_jwk(self.private.public_key(), as_dict=True)
        return {name: full[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in full}

    @property
    def published(self) -> dict[str, Any]:
        """The public half, as the metadata of a client has it."""
        return {**self.jwk, "kid": self.kid, "alg": self.alg, "use": "sig"}

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A token with these claims, and with these members in its header beside `alg`."""
        return jwt.encode(dict(claims), self.private, self.alg, headers=header)

    def proof(
        self,
        method: str,
        url: str,
        *,
        nonce: str | None,
        now_s: float,
        access_token: str | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A DPoP proof. A claim that is None is left out."""
        claims = {
            "jti": secrets.token_hex(8),
            "htm": method,
            "htu": url,
            "iat": int(now_s),
            "nonce": nonce,
            "ath": None if access_token is None else ath_of(access_token),
            **claims,
        }
        told = {name: value for name, value in claims.items() if value is not None}
        return self.sign(told, **{"typ": "dpop+jwt", "jwk": self.jwk, **(header or {})})


def ath_of(access_token: str) -> str:
    """The hash of an access token, for the proof that comes with it."""
    return base64url_encode(hashlib.sha256(access_token.encode()).digest()).decode()


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
