"""Sets of public keys, as clients publish them (JWKS)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pds.jose.jwk import InvalidJwk, Jwk
from pds.jose.jwt import Jwt

MAX_KEYS: Final = 100


class InvalidJwks(ValueError):
    """The document is not a set of keys, or has too many."""


@dataclass(slots=True, frozen=True)
class Jwks:
    """The keys of a client that the server can verify with."""

    keys: tuple[Jwk, ...]

    @classmethod
    def parse(cls, document: object) -> Jwks:
        """Read a key set, as decoded from JSON. Raises `InvalidJwks`.

        Keys of other kinds, such as for encryption, are left out, as the standard asks.
        """
        keys = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise InvalidJwks('a key set has an array "keys"')
        if len(keys) > MAX_KEYS:
            raise InvalidJwks(f"a key set has at most {MAX_KEYS} keys")
        return cls(tuple(_readable(keys)))

    def find(self, jwt: Jwt) -> Jwk | None:
        """Return the key whose id and algorithm a token names.

        A token without an id is of the only key with its algorithm.
        """
        kid, alg = jwt.header.get("kid"), jwt.header.get("alg")
        usable = [key for key in self.keys if isinstance(alg, str) and alg in key.algorithms]
        if kid is None:
            return usable[0] if len(usable) == 1 else None
        return next((key for key in usable if key.kid == kid), None)


def _readable(keys: list[object]) -> Iterator[Jwk]:
    for key in keys:
        try:
            yield Jwk.parse(key)
        except InvalidJwk:
            continue
