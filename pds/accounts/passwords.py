"""Password hashes: scrypt, in the reference PDS's format, computed off the event loop.

`<salt>:<hash>`, both in hex. The salt that goes into scrypt is the hex text, not the bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Final

MAX_NEW_LENGTH: Final = 256
"""Characters of a password that is being set."""
MAX_CHECKED_LENGTH: Final = 512
"""Characters of a password that is checked: the reference once let longer ones be set."""

_COST: Final = 16_384
_BLOCK_SIZE: Final = 8
_HASH_BYTES: Final = 64
_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Bound given to OpenSSL; one hash takes 16 MiB."""


def new_password() -> str:
    """A password of 24 characters that nobody guesses."""
    return secrets.token_urlsafe(18)


class PasswordHasher:
    """Hashes and checks passwords in threads of its own.

    `max_parallel` bounds how many hashes run at once, at 16 MiB and about 50 ms of a core each:
    logins queue up rather than take the machine down.
    """

    def __init__(self, max_parallel: int = 2) -> None:
        self._threads = ThreadPoolExecutor(max_parallel, thread_name_prefix="scrypt")

    async def hash(self, password: str) -> str:
        """The hash of an account's password, with a new salt."""
        return await self._run(password, secrets.token_hex(16))

    async def hash_app_password(self, did: str, password: str) -> str:
        """The hash of an app password, with the salt that follows from the DID."""
        return await self._run(password, hashlib.sha256(did.encode()).digest()[:16].hex())

    async def verify(self, password: str, stored: str) -> bool:
        """Whether `stored` is the hash of `password`. A hash of another format matches nothing."""
        salt, separator, _ = stored.partition(":")
        if not separator:
            return False
        return same_hash(await self._run(password, salt), stored)

    def close(self) -> None:
        """Let the threads end once they are idle."""
        self._threads.shutdown(wait=False)

    async def _run(self, password: str, salt: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _scrypt, password, salt)


def same_hash(left: str, right: str) -> bool:
    """Compare two stored hashes in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def _scrypt(password: str, salt: str) -> str:
    digest = hashlib.scrypt(
        password.encode(),
        salt=salt.encode(),
        n=_COST,
        r=_BLOCK_SIZE,
        p=1,
        maxmem=_MEMORY_BYTES,
        dklen=_HASH_BYTES,
    )
    return f"{salt}:{digest.hex()}"
