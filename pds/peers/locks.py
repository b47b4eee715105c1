"""A lock for each account, kept by the process that writes it, for whichever process asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from actor_store.keyed_locks import KeyedLocks
from pds.peers.calls import HasPeers, by_owner, telling, told

if TYPE_CHECKING:
    import asyncio

Token: TypeAlias = tuple[int | None, int]
"""The number of the process that holds a lock, None for the first, and one of its own."""

_tokens: Final = count()


class AccountLocks:
    """The locks of the accounts that this process writes."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()
        self._lent: dict[Token, asyncio.Lock] = {}

    def __getitem__(self, did: str) -> asyncio.Lock:
        return self._locks[did]

    async def lend(self, did: str, token: Token) -> None:
        """Wait for a lock, and keep it for another process."""
        lock = self._locks[did]
        await lock.acquire()
        self._lent[token] = lock

    def take_back(self, token: Token) -> None:
        """Release a lock that was lent, if it was."""
        lock = self._lent.pop(token, None)
        if lock is not None:
            lock.release()

    def take_back_all(self, worker: int) -> None:
        """Release what was lent to a worker that has ended."""
        for token in [token for token in self._lent if token[0] == worker]:
            self.take_back(token)


class _Context(HasPeers, Protocol):
    account_locks: AccountLocks


@asynccontextmanager
async def account_lock(ctx: _Context, did: str) -> AsyncIterator[None]:
    """Hold the lock of an account for an `async with` block: while creating, changing, deleting it.

    Raises `PeerGone`.
    """
    owner = ctx.peers.owner_of(did)
    if owner is None:
        async with ctx.account_locks[did]:
            yield
        return
    token = (ctx.peers.number, next(_tokens))
    try:
        await _lend(ctx, did, token)
        yield
    finally:
        # Also after a cancellation, which may cross with the answer.
        owner.tell(telling(_take_back, token))


@by_owner
async def _lend(ctx: _Context, did: str, token: Token) -> None:
    await ctx.account_locks.lend(did, token)


@told
def _take_back(ctx: _Context, token: Token) -> None:
    ctx.account_locks.take_back(token)


@told
def forget_worker(ctx: _Context, worker: int) -> None:
    """Release what a worker held that has ended."""
    ctx.account_locks.take_back_all(worker)
