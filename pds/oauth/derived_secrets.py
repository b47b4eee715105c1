"""Secrets for single purposes, derived from `PDS_JWT_SECRET`: the same in every process."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_BYTES: Final = 32


def derived_secret(jwt_secret: str, purpose: str) -> bytes:
    """Return the 32 bytes for a purpose, from which neither the secret nor others follow."""
    hkdf = HKDF(SHA256(), length=_BYTES, salt=None, info=f"holdfast: {purpose}".encode())
    return hkdf.derive(jwt_secret.encode())
