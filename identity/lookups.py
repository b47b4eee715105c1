"""DNS look-ups of names chosen by strangers: bounded, shared, and cached for a while.

A silent name server delays only look-ups of the names it serves: look-ups take no threads, have a
timeout, and are bounded per domain and per requester.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
from cachetools import TLRUCache
from dns.rdtypes.ANY.TXT import TXT

from database.open_files import OpenFiles, OutOfFiles
from identity.nameservers import SystemNameservers
from identity.share import Share, Unshared, domain_of

DEFAULT_TIMEOUT_MS: Final = 3_000

_CACHED: Final = 16_384
"""Cache size, counting answers and their records and texts: some 5 MB."""
_MAX_TTL_S: Final = 60.0
_NOTHING_S: Final = 30.0
"""How long an empty answer is cached."""
_FAILED_S: Final = 10.0
"""How long a failed look-up is cached."""

_fresh: ContextVar[bool] = ContextVar("fresh_lookups", default=False)

Records: TypeAlias = tuple[dns.rdata.Rdata, ...]
_Question: TypeAlias = tuple[str, str]
Client: TypeAlias = Callable[[], Awaitable[dns.asyncresolver.Resolver]]


class LookupFailed(OSError):
    """No name server has said whether such records exist."""


@dataclass(slots=True, frozen=True)
class _Known:
    """A cached answer."""

    records: Records | LookupFailed
    seconds: float


@dataclass(slots=True)
class _Underway:
    """A look-up in progress, shared by its waiters. It is cancelled when none is left."""

    task: asyncio.Task[Records]
    waiting: int = 0


@contextmanager
def fresh_lookups() -> Iterator[None]:
    """Ignore cached answers within a `with` block.

    For checks after a change: somebody has just set up a name, and tells us.
    """
    before = _fresh.set(True)
    try:
        yield
    finally:
        _fresh.reset(before)


def must_be_fresh() -> bool:
    """Whether the current task is within `fresh_lookups`."""
    return _fresh.get()


class Lookups:
    """Queries name servers for records."""

    def __init__(
        self,
        *,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        share: Share | None = None,
        files: OpenFiles | None = None,
        client: Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client` queries other name servers than the system's; `share` bounds the look-ups.

        `files` are the open files of the process; each query takes one.
        """
        self._files = OpenFiles() if files is None else files
        self._share = share or Unshared()
        self._system = SystemNameservers(timeout_s=timeout_ms / 1_000)
        self._client = client or self._system_client
        self._underway: dict[_Question, _Underway] = {}
        self._known: TLRUCache[_Question, _Known] = TLRUCache(
            _CACHED, lambda _, known, now: now + known.seconds, timer=clock, getsizeof=_parts
        )

    async def find(self, name: str, kind: str) -> Records:
        """Return the records of a `kind` at `name`, perhaps none. Raises `LookupFailed`.

        Raises `OutOfFiles`, and what the share raises.
        """
        question = (name.lower().rstrip("."), kind)
        known = self._remembered(question)
        if known is None:
            async with self._share.turn(domain_of(question[0])):
                # Another caller may have looked it up in the meantime.
                known = self._remembered(question)
                if known is None:
                    return await self._ask(question)
        if isinstance(known.records, LookupFailed):
            raise LookupFailed(*known.records.args)
        return known.records

    def _remembered(self, question: _Question) -> _Known | None:
        return None if must_be_fresh() else self._known.get(question)

    async def _ask(self, question: _Question) -> Records:
        """Send a query, or join one in progress."""
        if must_be_fresh():
            return await self._ask_now(question)
        shared = self._underway.get(question)
        if shared is None:
            shared = _Underway(asyncio.create_task(self._ask_now(question)))
            self._underway[question] = shared
            shared.task.add_done_callback(lambda _: self._end(question, shared))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                self._end(question, shared)

    def _end(self, question: _Question, shared: _Underway) -> None:
        """Remove a look-up that is done, or that nobody waits for."""
        shared.task.cancel()
        if self._underway.get(question) is shared:
            del self._underway[question]

    async def _ask_now(self, question: _Question) -> Records:
        name, kind = question
        if not self._files.has_room(1):
            # This says nothing about the name, so nothing is cached.
            self._files.warn()
            raise OutOfFiles(self._files.limit)
        self._files.note_opened(1)
        try:
            client = await self._client()
            answer = await client.resolve(f"{name}.", kind, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            self._known[question] = _Known((), _NOTHING_S)
            return ()
        except (dns.exception.DNSException, OSError, ValueError) as exc:
            failure = LookupFailed(str(exc) or type(exc).__name__)
            self._known[question] = _Known(failure, _FAILED_S)
            raise failure from exc
        records = tuple(answer)
        ttl_s = min(answer.chaining_result.minimum_ttl, _MAX_TTL_S)
        self._known[question] = _Known(records, ttl_s)
        return records

    async def _system_client(self) -> dns.asyncresolver.Resolver:
        return self._system.client()


def _parts(known: _Known) -> int:
    """Return the number of parts of an answer, as a stranger's name server may put many into it."""
    if isinstance(known.records, LookupFailed):
        return 1
    return 1 + sum(
        len(record.strings) if isinstance(record, TXT) else 1 for record in known.records
    )
