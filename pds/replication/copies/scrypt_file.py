"""Encrypts a few bytes with a passphrase, as an age file that any age program decrypts.

pyrage would do it, and takes half a gigabyte of memory or more, as much as this machine fills in a
second. A server that has less than that free would be killed. Format: https://age-encryption.org/v1
"""

from __future__ import annotations

import base64
import os
import textwrap
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_LOG_N: Final = 17
"""128 MiB of memory for each guess, and 0.3 s."""
_MAX_BYTES: Final = 64 * 1024
"""The format cuts what is longer into chunks."""
_LAST_CHUNK: Final = bytes(11) + b"\x01"
_COLUMNS: Final = 64


def seal_with_passphrase(data: bytes, passphrase: str) -> str:
    """Return `data`, at most 64 KiB, as an armoured age file. Takes a third of a second."""
    if not 0 < len(data) <= _MAX_BYTES:
        raise ValueError(f"{len(data)} bytes are none or too many")
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    wrapping = Scrypt(
        salt=b"age-encryption.org/v1/scrypt" + salt, length=32, n=1 << _LOG_N, r=8, p=1
    ).derive(passphrase.encode())
    wrapped = ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None)
    header = (
        f"age-encryption.org/v1\n-> scrypt {_encode(salt)} {_LOG_N}\n{_encode(wrapped)}\n---"
    ).encode()
    mac = HMAC(_derive(file_key, salt=None, info=b"header"), SHA256())
    mac.update(header)
    payload_key = _derive(file_key, salt=nonce, info=b"payload")
    payload = ChaCha20Poly1305(payload_key).encrypt(_LAST_CHUNK, data, None)
    return _armoured(header + f" {_encode(mac.finalize())}\n".encode() + nonce + payload)


def _derive(key: bytes, *, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, info).derive(key)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")


def _armoured(file: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(file).decode(), _COLUMNS)
    return "\n".join(
        ("-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", "")
    )
