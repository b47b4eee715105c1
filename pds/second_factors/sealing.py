"""Encryption of what the service database keeps for second factors, so that a copy of the file, or
of a backup, does not give it away."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES: Final = 12


class Sealer:
    """Encrypts and decrypts with AES-256-GCM: a random nonce, then the ciphertext with its tag."""

    def __init__(self, key: bytes) -> None:
        """`key` has 32 bytes."""
        self._cipher = AESGCM(key)

    def seal(self, data: bytes, *, purpose: str) -> bytes:
        """Encrypt data that only `open` with the same purpose decrypts."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, purpose.encode())

    def open(self, sealed: bytes, *, purpose: str) -> bytes | None:
        """Decrypt; None for what was sealed with another key or purpose, or changed since."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, ciphertext, purpose.encode())
        except (InvalidTag, ValueError):
            return None
