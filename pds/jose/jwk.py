"""Public keys as JWKs, and verification with the algorithms that OAuth clients sign with.

PyJWT reads keys and verifies signatures. ES256 and ES256K go through `repo.keys`, as elsewhere.
A key is taken in one encoding only, so that equal keys have equal thumbprints.

Spec: https://www.rfc-editor.org/rfc/rfc7517, https://www.rfc-editor.org/rfc/rfc7638
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWK
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import PyJWTError
from jwt.utils import base64url_encode

from pds.jose.jwt import Jwt
from repo.keys import InvalidKey, K256PublicKey, P256PublicKey, PublicKey

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES256K", "ES384", "ES512"),
)
"""The signature algorithms of OAuth clients, in the order of the server's metadata."""
RSA_BITS: Final = range(2048, 8192 + 1)
"""Smaller keys are weak, larger ones slow to verify."""

_RSA_ALGORITHMS: Final = frozenset(ALGORITHMS[:6])
_MAX_RSA_EXPONENT: Final = 2**33
"""Verification takes time in proportion to the exponent's length; the usual one is 65537."""
_MAX_MEMBER_LENGTH: Final = 1400
"""In characters: the modulus of the largest RSA key has 1366."""
_CURVE_ALGORITHMS: Final = {
    "P-256": "ES256",
    "secp256k1": "ES256K",
    "P-384": "ES384",
    "P-521": "ES512",
}
_FAST_CURVES: Final[Mapping[str, type[PublicKey]]] = {
    "secp256r1": P256PublicKey,
    "secp256k1": K256PublicKey,
}
_PRIVATE_MEMBERS: Final = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_ALGORITHM_OF: Final[Mapping[str, Algorithm]] = {
    name: algorithm for name, algorithm in get_default_algorithms().items() if name in ALGORITHMS
}


class InvalidJwk(ValueError):
    """The JWK is not a public key that the server can verify with, or not for signatures."""


@dataclass(slots=True, frozen=True)
class Jwk:
    """A public key for verifying signatures."""

    kid: str | None
    algorithms: frozenset[str]
    """Those that the key can be used with: the one it names, or all of its type."""
    public_members: Mapping[str, str]
    """What the thumbprint covers, in its order."""
    _key: Any

    @classmethod
    def parse(cls, jwk: object) -> Jwk:
        """Read a JWK, as decoded from JSON. Raises `InvalidJwk`."""
        if not isinstance(jwk, dict):
            raise InvalidJwk("the key is not an object")
        _check_members(jwk)
        names, usable = _kind_of(jwk)
        members: dict[str, Any] = {name: jwk.get(name) for name in names}
        if not all(
            isinstance(v, str) and 0 < len(v) <= _MAX_MEMBER_LENGTH for v in members.values()
        ):
            raise InvalidJwk("the key lacks a member, or one is too long")
        alg = jwk.get("alg")
        if alg is not None and (not isinstance(alg, str) or alg not in usable):
            raise InvalidJwk("the key's algorithm is not one for its type")
        try:
            parsed = PyJWK(members, min(usable))
            canonical = parsed.Algorithm.to_jwk(parsed.key, as_dict=True)
        # ValueError: base64url of another alphabet, points off the curve.
        except (PyJWTError, ValueError, TypeError) as exc:
            raise InvalidJwk("the key is malformed") from exc
        if any(canonical.get(name) != value for name, value in members.items()):
            raise InvalidJwk("the key is not in its canonical encoding")
        algorithms = usable if alg is None else frozenset({alg})
        return cls(jwk.get("kid"), algorithms, members, _fast_key(parsed.key))

    def thumbprint(self, algorithm: Literal["sha256", "sha512"] = "sha256") -> str:
        """Return the hash of the key, base64url (RFC 7638)."""
        members = orjson.dumps(self.public_members)
        return base64url_encode(hashlib.new(algorithm, members).digest()).decode()

    def has_signed(self, jwt: Jwt) -> bool:
        """Whether this key made the signature of a token, with the algorithm that it names."""
        alg = jwt.header.get("alg")
        if not isinstance(alg, str) or alg not in self.algorithms:
            return False
        if isinstance(self._key, PublicKey):
            return self._key.verify(jwt.signed, jwt.signature, allow_high_s=True)
        return _ALGORITHM_OF[alg].verify(jwt.signed, self._key, jwt.signature)


def _check_members(jwk: Mapping[str, Any]) -> None:
    if any(name in jwk for name in _PRIVATE_MEMBERS):
        raise InvalidJwk("the key is private")
    kid, use, key_ops = jwk.get("kid"), jwk.get("use"), jwk.get("key_ops")
    if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= _MAX_MEMBER_LENGTH):
        raise InvalidJwk("the key's id is not a text, or too long")
    if use not in (None, "sig"):
        raise InvalidJwk("the key is not for signatures")
    if key_ops is not None and (not isinstance(key_ops, list) or "verify" not in key_ops):
        raise InvalidJwk("the key is not for verifying")


def _kind_of(jwk: Mapping[str, Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of a key's public members, in order, and its algorithms."""
    kty, crv = jwk.get("kty"), jwk.get("crv")
    if kty == "RSA":
        return ("e", "kty", "n"), _RSA_ALGORITHMS
    if kty == "EC" and isinstance(crv, str) and crv in _CURVE_ALGORITHMS:
        return ("crv", "kty", "x", "y"), frozenset({_CURVE_ALGORITHMS[crv]})
    raise InvalidJwk("the key is of an unknown type")


def _fast_key(key: object) -> object:
    """Return the form of a key to verify with. Raises `InvalidJwk`."""
    if isinstance(key, RSAPublicKey):
        if key.key_size not in RSA_BITS or key.public_numbers().e > _MAX_RSA_EXPONENT:
            raise InvalidJwk(f"an RSA key has {RSA_BITS.start} to {RSA_BITS.stop - 1} bits")
        return key
    if not isinstance(key, EllipticCurvePublicKey):
        raise InvalidJwk("the key is not public")
    curve = _FAST_CURVES.get(key.curve.name)
    if curve is None:
        return key
    try:
        return curve.from_bytes(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    except InvalidKey as exc:
        raise InvalidJwk("the key is malformed") from exc
