"""Digests of the OCI image specification; of its algorithms, holds use SHA-256 alone."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NewType

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits."""

_PATTERN: Final = re.compile(r"sha256:[0-9a-f]{64}")


class InvalidDigest(ValueError):
    """The text is not a SHA-256 digest."""

    def __init__(self, text: str) -> None:
        super().__init__(f"not a digest (sha256: and 64 hex digits): {text[:100]!r}")


def parse_digest(text: str) -> Digest:
    """Check a digest. Raises `InvalidDigest`."""
    if not _PATTERN.fullmatch(text):
        raise InvalidDigest(text)
    return Digest(text)


def hex_of(digest: Digest) -> str:
    """Return the hex digits of a digest."""
    return digest[7:]


def digest_of(sha256: bytes) -> Digest:
    """Return the digest for 32 bytes of SHA-256."""
    return Digest(f"sha256:{sha256.hex()}")


def digest_of_nothing() -> Digest:
    """Return the digest of no bytes."""
    return digest_of(hashlib.sha256().digest())
