"""Looking up names that strangers choose, in DNS: bounded, shared, and remembered for a while.

A silent name server keeps waiting those who ask for the names it serves, and nobody else: look-ups
take no threads, end in time, and go ahead by shares of the domain and of who asks.
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
"""Answers that are remembered, and the records and texts that they are made of: some 5 MB."""
_MAX_TTL_S: Final = 60.0
_NOTHING_S: Final = 30.0
"""How long it is remembered that there is nothing."""
_FAILED_S: Final = 10.0
"""How long it is remembered that nobody says."""

_fresh: ContextVar[bool] = ContextVar("fresh_lookups", default=False)

Records: TypeAlias = tuple[dns.rdata.Rdata, ...]
_Question: TypeAlias = tuple[str, str]
Client: TypeAlias = Callable[[], Awaitable[dns.asyncresolver.Resolver]]


class LookupFailed(OSError):
    """No name server has said whether there are such records."""


@dataclass(slots=True, frozen=True)
class _Known:
    """An answer, for as long as it counts."""

    records: Records | LookupFailed
    seconds: float


@dataclass(slots=True)
class _Underway:
    """A look-up that some wait for. It ends when nobody does any more."""

    task: asyncio.Task[Records]
    waiting: int = 0


@contextmanager
def fresh_lookups() -> Iterator[None]:
    """A `with` block in which nothing counts that is only remembered.

    For checks that follow a change: somebody has just set up a name, and tells us.
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
    """Asks name servers for records."""

    def __init__(
        self,
        *,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        share: Share | None = None,
        files: OpenFiles | None = None,
        client: Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`client` asks other name servers than the system's; `share` bounds how many look-ups.

        `files` are the open files of the process, of which each question is one.
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
        """The records of a `kind` that `name` has, perhaps none. Raises `LookupFailed`.

        Raises `OutOfFiles`, and what the share raises.
        """
        question = (name.lower().rstrip("."), kind)
        known = self._remembered(question)
        if known is None:
            async with self._share.turn(domain_of(question[0])):
                # Somebody else may have asked while this one waited.
                known = self._remembered(question)
                if known is None:
                    return await self._ask(question)
        if isinstance(known.records, LookupFailed):
            raise LookupFailed(*known.records.args)
        return known.records

    def _remembered(self, question: _Question) -> _Known | None:
        return None if must_be_fresh() else self._known.get(question)

    async def _ask(self, question: _Question) -> Records:
        """Ask, or wait with others for the same answer."""
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
        """Take a look-up away that is done, or that nobody waits for."""
        shared.task.cancel()
        if self._underway.get(question) is shared:
            del self._underway[question]

    async def _ask_now(self, question: _Question) -> Records:
        name, kind = question
        if not self._files.has_room(1):
            # Of the name nothing is known by that, and nothing remembered.
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
    """What an answer is made of: a name server of a stranger's may put much into each."""
    if isinstance(known.records, LookupFailed):
        return 1
    return 1 + sum(
        len(record.strings) if isinstance(record, TXT) else 1 for record in known.records
    )
