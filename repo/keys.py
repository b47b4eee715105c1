"""Keys: signing and verifying with K-256 (secp256k1) and P-256 (secp256r1), and did:key text.

A signature is 64 bytes, r and s, over the SHA-256 of the message. s is the lower of its two
possible values ("low-S"), so each signature has one encoding. The nonce follows RFC 6979, so
signing is deterministic: the same key and content give the same bytes.

Spec: https://atproto.com/specs/cryptography
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final

import coincurve
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from multiformats import multibase, multicodec

SIGNATURE_BYTES: Final = 64
PRIVATE_KEY_BYTES: Final = 32

_ECDSA_SHA256: Final = ec.ECDSA(SHA256())
_DID_KEY_PREFIX: Final = "did:key:"
_BASE: Final = "base58btc"
_MAX_MULTIBASE_LENGTH: Final = 128
"""Longest key text accepted, because base58 decodes in quadratic time; keys have up to 90."""
_COMPRESSED_BYTES: Final = 33
_UNCOMPRESSED_BYTES: Final = 65


class InvalidKey(ValueError):
    """The bytes or text are not a K-256 or P-256 key."""


class PublicKey(ABC):
    """A point on one of the two curves. Hashable; equal keys have equal `did_key`."""

    __slots__ = ("point",)

    jwt_alg: ClassVar[str]
    """The JOSE name of the signature algorithm."""
    _codec: ClassVar[str]
    """The multicodec of the curve's public keys, by its name in the table."""
    _order: ClassVar[int]
    """The order of the curve; r and s are less than it."""
    _highest_low_s: ClassVar[int]
    """Half of the order."""

    point: bytes
    """The compressed point, 33 bytes."""

    @classmethod
    @abstractmethod
    def from_bytes(cls, point: bytes) -> PublicKey:
        """Read a compressed or uncompressed SEC 1 point. Raises `InvalidKey` if off the curve."""

    def __reduce__(self) -> tuple[Callable[[str], PublicKey], tuple[str]]:
        """Pickle as text, because the libraries' own keys cannot be pickled."""
        return parse_did_key, (self.did_key,)

    @property
    def multibase(self) -> str:
        """The Multikey text: `z`, then the codec and the compressed point in base58."""
        return multibase.encode(multicodec.wrap(self._codec, self.point), _BASE)

    @property
    def did_key(self) -> str:
        """The key as a did:key."""
        return _DID_KEY_PREFIX + self.multibase

    def verify(self, message: bytes, signature: bytes, *, allow_high_s: bool = False) -> bool:
        """Whether `signature`, in the 64-byte form, is this key's signature over `message`.

        High-S signatures are valid ECDSA that atproto forbids; JWTs from other software have them.
        """
        if len(signature) != SIGNATURE_BYTES:
            return False
        r = int.from_bytes(signature[:32])
        s = int.from_bytes(signature[32:])
        if not (0 < r < self._order and 0 < s < self._order):
            return False
        if s > self._highest_low_s:
            if not allow_high_s:
                return False
            s = self._order - s
        return self._verify_der(message, encode_dss_signature(r, s))

    @abstractmethod
    def _verify_der(self, message: bytes, signature: bytes) -> bool:
        """Check a low-S signature in DER."""

    def __repr__(self) -> str:
        return f"<{self.did_key}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.point == self.point

    def __hash__(self) -> int:
        return hash(self.point)


class K256PublicKey(PublicKey):
    """A secp256k1 public key."""

    __slots__ = ("_key",)

    jwt_alg = "ES256K"
    _codec = "secp256k1-pub"
    _order = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
    _highest_low_s = _order // 2

    def __init__(self, key: coincurve.PublicKey) -> None:
        self._key = key
        self.point = key.format()

    @classmethod
    def from_bytes(cls, point: bytes) -> K256PublicKey:
        _check_point_form(point)
        try:
            return cls(coincurve.PublicKey(point))
        except ValueError as exc:
            raise InvalidKey("not a point of K-256") from exc

    def _verify_der(self, message: bytes, signature: bytes) -> bool:
        return self._key.verify(signature, message)


class P256PublicKey(PublicKey):
    """A secp256r1 public key."""

    __slots__ = ("_key",)

    jwt_alg = "ES256"
    _codec = "p256-pub"
    _order = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
    _highest_low_s = _order // 2

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self.point = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    @classmethod
    def from_bytes(cls, point: bytes) -> P256PublicKey:
        _check_point_form(point)
        try:
            return cls(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point))
        except ValueError as exc:
            raise InvalidKey("not a point of P-256") from exc

    def _verify_der(self, message: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, message, _ECDSA_SHA256)
        except InvalidSignature:
            return False
        return True


class PrivateKey(ABC):
    """A signing key. Its `repr` shows the public key only."""

    __slots__ = ("public",)

    public: PublicKey

    @classmethod
    @abstractmethod
    def generate(cls) -> PrivateKey:
        """Generate a new key from the system's randomness."""

    @classmethod
    @abstractmethod
    def from_bytes(cls, secret: bytes) -> PrivateKey:
        """Read the 32 bytes of `export`. Raises `InvalidKey`."""

    @abstractmethod
    def sign(self, message: bytes) -> bytes:
        """Sign `message`: 64 bytes, deterministic, low-S."""

    @abstractmethod
    def export(self) -> bytes:
        """The secret number, 32 bytes, big-endian."""

    @property
    def did_key(self) -> str:
        """The public key as a did:key."""
        return self.public.did_key

    @property
    def jwt_alg(self) -> str:
        """The JOSE name of the signature algorithm, `ES256K` or `ES256`."""
        return self.public.jwt_alg

    def __repr__(self) -> str:
        return f"<private key of {self.did_key}>"


class K256PrivateKey(PrivateKey):
    """A secp256k1 signing key, the usual curve of repo and rotation keys."""

    __slots__ = ("_key",)

    def __init__(self, key: coincurve.PrivateKey) -> None:
        self._key = key
        self.public = K256PublicKey(key.public_key)

    @classmethod
    def generate(cls) -> K256PrivateKey:
        return cls(coincurve.PrivateKey())

    @classmethod
    def from_bytes(cls, secret: bytes) -> K256PrivateKey:
        _check_secret(secret, K256PublicKey._order)
        return cls(coincurve.PrivateKey(secret))

    def sign(self, message: bytes) -> bytes:
        # The recoverable form is r and s in 64 bytes plus a recovery id, which avoids parsing DER.
        return self._key.sign_recoverable(message)[:SIGNATURE_BYTES]

    def export(self) -> bytes:
        return self._key.secret


class P256PrivateKey(PrivateKey):
    """A secp256r1 signing key."""

    __slots__ = ("_key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public = P256PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> P256PrivateKey:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_bytes(cls, secret: bytes) -> P256PrivateKey:
        _check_secret(secret, P256PublicKey._order)
        return cls(ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1()))

    def sign(self, message: bytes) -> bytes:
        algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
        r, s = decode_dss_signature(self._key.sign(message, algorithm))
        s = min(s, P256PublicKey._order - s)
        return r.to_bytes(32) + s.to_bytes(32)

    def export(self) -> bytes:
        return self._key.private_numbers().private_value.to_bytes(PRIVATE_KEY_BYTES)


def parse_did_key(text: str) -> PublicKey:
    """Read a did:key of either curve. Raises `InvalidKey`."""
    if not text.startswith(_DID_KEY_PREFIX):
        raise InvalidKey("not a did:key")
    return _parse_multikey(text.removeprefix(_DID_KEY_PREFIX))


def parse_verification_method(type: str, public_key_multibase: str) -> PublicKey:  # noqa: A002 - the field of a DID document
    """Read the key in a DID document's verification method. Raises `InvalidKey`.

    A `Multikey` names its curve in a codec prefix. The two older types carry the bare point,
    compressed or not.
    """
    if type == "Multikey":
        return _parse_multikey(public_key_multibase)
    curve = _CURVE_OF_METHOD.get(type)
    if curve is None:
        raise InvalidKey(f"unknown type of verification method: {type[:64]}")
    return curve.from_bytes(_decode_base58(public_key_multibase))


_CURVE_OF_CODEC: Final[dict[str, type[PublicKey]]] = {
    curve._codec: curve for curve in (K256PublicKey, P256PublicKey)
}
_CURVE_OF_METHOD: Final[dict[str, type[PublicKey]]] = {
    "EcdsaSecp256k1VerificationKey2019": K256PublicKey,
    "EcdsaSecp256r1VerificationKey2019": P256PublicKey,
}


def _parse_multikey(text: str) -> PublicKey:
    try:
        codec, point = multicodec.unwrap(_decode_base58(text))
    except (ValueError, KeyError) as exc:
        raise InvalidKey("key has no multicodec prefix") from exc
    curve = _CURVE_OF_CODEC.get(codec.name)
    if curve is None:
        raise InvalidKey("key is of neither K-256 nor P-256")
    if len(point) != _COMPRESSED_BYTES:
        raise InvalidKey(f"a key in a Multikey has {_COMPRESSED_BYTES} bytes")
    return curve.from_bytes(point)


def _check_point_form(point: bytes) -> None:
    """Refuse the hybrid and infinity forms of SEC 1, which a library may accept."""
    compressed = len(point) == _COMPRESSED_BYTES and point[0] in (2, 3)
    if not compressed and not (len(point) == _UNCOMPRESSED_BYTES and point[0] == 4):
        raise InvalidKey("not a compressed or uncompressed point")


def _check_secret(secret: bytes, order: int) -> None:
    if len(secret) != PRIVATE_KEY_BYTES:
        raise InvalidKey(f"a private key has {PRIVATE_KEY_BYTES} bytes, got {len(secret)}")
    if not 0 < int.from_bytes(secret) < order:
        raise InvalidKey("private key is outside the curve's order")


def _decode_base58(text: str) -> bytes:
    if not text.startswith("z") or len(text) > _MAX_MULTIBASE_LENGTH:
        raise InvalidKey("key is not in multibase base58btc")
    try:
        return multibase.decode(text)
    except (ValueError, KeyError) as exc:
        raise InvalidKey("key is not in multibase base58btc") from exc
