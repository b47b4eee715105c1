"""JWTs: JSON objects signed in the compact form of JWS, with HS256, ES256K or ES256.

PyJWT parses tokens, strictly: canonical base64url, no critical extensions, no detached payload.
Keys sign and verify. A key has one algorithm, and the one that a token names must be that of the
expected key, so a public key is never used as a secret, and `none` is never an algorithm. PyJWT's
own ES256K takes half a millisecond, too long for tokens that anyone may send.

Spec: https://www.rfc-editor.org/rfc/rfc7515, https://www.rfc-editor.org/rfc/rfc7519
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeGuard

import orjson
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidTokenError
from jwt.utils import base64url_decode, base64url_encode

from repo.keys import PrivateKey, PublicKey

_NUMBERS: Final = (int, float)
_JWS: Final = PyJWS(algorithms=[], options={"verify_signature": False})


class InvalidJwt(ValueError):
    """The token is not a JWT, or not signed by the key."""


class Secret:
    """An HS256 key of any length, which both signs and verifies.

    The operator chooses it, and the reference PDS accepts any length.
    """

    __slots__ = ("_secret",)

    jwt_alg: Final = "HS256"

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, message: bytes) -> bytes:
        """Return the MAC of `message`, 32 bytes."""
        return hmac.digest(self._secret, message, "sha256")

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` is the MAC of `message`, compared in constant time."""
        return hmac.compare_digest(self.sign(message), signature)


SigningKey: TypeAlias = Secret | PrivateKey
VerifyingKey: TypeAlias = Secret | PublicKey


@dataclass(slots=True)
class Jwt:
    """A parsed token."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    """The bytes that are signed."""
    signature: bytes

    def is_signed_by(self, key: VerifyingKey) -> bool:
        """Whether the key made the signature, with the algorithm that the header names."""
        if self.header.get("alg") != key.jwt_alg:
            return False
        if isinstance(key, Secret):
            return key.verify(self.signed, self.signature)
        # Other servers sign with either value of s: only repositories require low-S signatures.
        return key.verify(self.signed, self.signature, allow_high_s=True)


def sign_jwt(key: SigningKey, claims: Mapping[str, Any], *, typ: str) -> str:
    """Return a signed token of type `typ` with `claims` in their order."""
    header = {"typ": typ, "alg": key.jwt_alg}
    signed = base64url_encode(orjson.dumps(header)) + b"." + base64url_encode(orjson.dumps(claims))
    return (signed + b"." + base64url_encode(key.sign(signed))).decode()


def verify_jwt(token: str, key: VerifyingKey, *, max_length: int) -> Jwt:
    """Parse a token and verify its signature. Raises `InvalidJwt`.

    The caller must check its type, times and audience.
    """
    jwt = read_unverified_jwt(token, max_length=max_length)
    if not jwt.is_signed_by(key):
        raise InvalidJwt("the token is not signed by the key")
    return jwt


def read_unverified_jwt(token: str, *, max_length: int) -> Jwt:
    """Parse a token without verifying it, to find the key for doing so. Raises `InvalidJwt`.

    Do not trust any of it before `Jwt.is_signed_by`.
    """
    if len(token) > max_length:
        raise InvalidJwt("the token is too long")
    try:
        parts = _JWS.decode_complete(token)
        claims = orjson.loads(parts["payload"])
    # ValueError: unencodable characters, or a payload that is not JSON.
    except (InvalidTokenError, ValueError) as exc:
        raise InvalidJwt("the token is malformed") from exc
    if not isinstance(claims, dict):
        raise InvalidJwt("the claims are not an object")
    signed = token.rpartition(".")[0].encode()
    return Jwt(parts["header"], claims, signed, parts["signature"])


def read_unverified_jwt_again(token: str, header: dict[str, Any], *, max_length: int) -> Jwt | None:
    """Parse a token that begins with the very text of a token's that was read before.

    `header` is what that one had. PyJWT checks every character on its own, which takes longer than
    all the rest. Here, a part is right if encoding what was decoded gives the same text again.
    None if this is not so; `read_unverified_jwt` then decides.
    """
    if len(token) > max_length or not token.isascii():
        return None
    signed, _, signature_text = token.encode().rpartition(b".")
    claims_text = signed.partition(b".")[2]
    try:
        payload, signature = base64url_decode(claims_text), base64url_decode(signature_text)
        claims = orjson.loads(payload)
    except ValueError:
        return None
    is_canonical = (
        base64url_encode(payload) == claims_text and base64url_encode(signature) == signature_text
    )
    if not is_canonical or not isinstance(claims, dict):
        return None
    return Jwt(header, claims, signed, signature)


def is_time(value: object) -> TypeGuard[int | float]:
    """Whether a claim is a finite number of seconds."""
    # Not of a subclass, such as a boolean; JSON has no others.
    return type(value) in _NUMBERS and math.isfinite(value)  # type: ignore[arg-type]
