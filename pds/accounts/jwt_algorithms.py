"""The signatures of session tokens, for PyJWT: with a secret of any length, or with a K-256 key."""

from __future__ import annotations

from typing import Any, NoReturn

from jwt.algorithms import Algorithm, HMACAlgorithm

from repo.keys import K256PublicKey


class AnyKeyHmac(HMACAlgorithm):
    """HMAC with the secret as it is.

    PyJWT warns of secrets below 32 bytes and refuses ones that look like PEM files. The secret is
    the operator's, and the reference PDS takes any.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> str | None:
        return None


class K256Signatures(Algorithm):
    """ES256K, verified with the one key that it is made for, whichever PyJWT is given.

    PyJWT's own takes half a millisecond for each token, which anybody may send.
    """

    def __init__(self, key: K256PublicKey) -> None:
        self._key = key

    def prepare_key(self, key: object) -> K256PublicKey:
        return self._key

    def verify(self, msg: bytes, key: K256PublicKey, sig: bytes) -> bool:
        # Others sign with either value of s: only in repositories has a signature one spelling.
        return key.verify(msg, sig, allow_high_s=True)

    def sign(self, msg: bytes, key: object) -> NoReturn:
        raise NotImplementedError("these tokens are signed elsewhere")

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> NoReturn:
        raise NotImplementedError("the key is not given out")

    @staticmethod
    def from_jwk(jwk: object) -> NoReturn:
        raise NotImplementedError("the key is not read from a JWK")
