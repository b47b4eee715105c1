"""Password hashes: scrypt, in the reference PDS's format, computed off the event loop.

`<salt>:<hash>`, both in hex. The salt passed to scrypt is the hex text, not the bytes.

Anyone can request a hash, and each takes 50 ms of a core, so few are computed at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from pds.fairness.per_process import per_process
from pds.fairness.turns import Turns
from repo.syntax import Did

_COST: Final = 16_384
_BLOCK_SIZE: Final = 8
_HASH_BYTES: Final = 64
_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Limit passed to OpenSSL; one hash takes 16 MiB."""

_PARALLEL: Final = 2
_WAITING: Final = 128
_WAITING_EACH: Final = 64
"""As many as one address can get served in `_WAIT_S`: a whole office may log in at nine."""
_WAIT_S: Final = 10.0
_MEMORY_S: Final = 300.0
_MAX_NAME: Final = 256
"""Longer than any handle or email address that an account can have."""
_KNOWN_ASKERS: Final = 4_096
_NETWORK_BITS: Final = {4: 24, 6: 48}
_NOBODY: Final = Did("did:plc:nobody")
_NOBODYS_HASH: Final = f"{'0' * 32}:"


@dataclass(frozen=True, slots=True)
class Asker:
    """The party on whose behalf passwords are hashed."""

    who: str
    """The key under which turns are counted, such as the group of an address."""
    while_present: Callable[[], AbstractContextManager[object]] = nullcontext
    """Makes a context manager around the wait for a turn, which raises when the client leaves."""


OPERATOR: Final = Asker("operator")
"""The operator, with a share that strangers cannot use up."""


class PasswordHasher:
    """Grants turns at hashing: two at a time, one per asker and one per name.

    Up to 128 askers wait; each leaves the queue when its client does. Priority goes to the network
    with the fewest requests in the last minutes, then to the asker with the fewest, then to the
    name about which this asker has asked the least. So wrong logins delay neither logins from other
    addresses nor those from the same address to other accounts, even if an attacker has a network
    of addresses and keeps trying new names. Requests of others about a name do not count: that
    would lock out the owner of an account that many try to log in to.
    """

    def __init__(self, *, processes: int = 1) -> None:
        """Share the two with the other `processes` of the server, of which each has one."""
        parallel = per_process(_PARALLEL, processes)
        self._threads = ThreadPoolExecutor(parallel, thread_name_prefix="scrypt")
        self._hashing = Hashing(self._threads)
        self._turns = Turns(
            "logins",
            at_once=parallel,
            each=1,
            waiting=_WAITING,
            waiting_each=_WAITING_EACH,
            wait_s=_WAIT_S,
            memory_s=_MEMORY_S,
            ranks=_ranks,
        )

    @asynccontextmanager
    async def turn(self, asker: Asker, *, about: str) -> AsyncIterator[Hashing]:
        """Wait for a turn, and hash passwords within an `async with` block.

        `about` is the identifier of a login, or a DID. Raises `TooBusy`, and what
        `Asker.while_present` raises, both before the block.
        """
        async with AsyncExitStack() as stack:
            # Only around the wait: the block may write and must not be interrupted.
            with asker.while_present():
                # Prefixed, because the asker chooses the name and could give an address.
                turn = self._turns.turn(asker.who, f"name:{about[:_MAX_NAME]}")
                await stack.enter_async_context(turn)
            yield self._hashing

    def close(self) -> None:
        """Stop the threads once they are idle."""
        self._threads.shutdown(wait=False)


class Hashing:
    """Hashing within a turn. Every call costs one hash, whatever its arguments."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def hash(self, password: str) -> str:
        """Return the hash of an account's password, with a new salt."""
        return await self._run(password, secrets.token_hex(16))

    async def hash_app_password(self, did: Did | None, password: str) -> str:
        """Return the hash of an app password, with the salt derived from the DID.

        A `did` of None stands for an account that does not exist.
        """
        return await self._run(
            password, hashlib.sha256((did or _NOBODY).encode()).digest()[:16].hex()
        )

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether `stored` is the hash of `password`. None and other formats match nothing."""
        salt, _, _ = (stored or _NOBODYS_HASH).partition(":")
        return same_hash(await self._run(password, salt), stored or "")

    async def _run(self, password: str, salt: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _scrypt, password, salt)


def _ranks(holders: tuple[str, ...]) -> tuple[str, ...]:
    who, name = holders
    return _network_of(who), who, f"{who} {name}"


@lru_cache(_KNOWN_ASKERS)
def _network_of(who: str) -> str:
    """Return the network that an owner of many addresses may have: a /24, or a /48 for IPv6."""
    try:
        address = ip_address(who.partition("/")[0])
    except ValueError:
        return f"network {who}"
    bits = _NETWORK_BITS[address.version]
    return f"network {ip_network((address, bits), strict=False)}"


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
