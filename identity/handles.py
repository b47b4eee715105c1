"""Resolving handles to DIDs: DNS and HTTPS in parallel, then the backup nameservers.

Spec: https://atproto.com/specs/handle#handle-resolution
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import dns.asyncresolver
from cachetools import TTLCache
from dns.rdtypes.ANY.TXT import TXT

from database.open_files import OpenFiles
from identity.http import FetchError, FetchStatus, SafeHttp
from identity.lookups import Client, LookupFailed, Lookups, fresh_lookups
from identity.nameservers import DNS_PORT, make_client
from identity.share import Share
from repo.syntax import Did, Handle, InvalidSyntax, parse_did

DEFAULT_TIMEOUT_MS: Final = 3_000

_PREFIX: Final = "did="
_MAX_WELL_KNOWN_BYTES: Final = 4_096
"""A DID has at most 2,048 characters; the rest is for white space."""
_MAX_REDIRECTS: Final = 3
_MAX_TXT_RECORDS: Final = 100
_NEGATIVE_CACHED: Final = 4_096
_NEGATIVE_S: Final = 30.0
"""How long an unsuccessful resolution is cached."""


class HandleUnresolvable(Exception):
    """No method of resolving `handle` gave a usable answer, so it may or may not have a DID."""

    def __init__(self, handle: Handle, reason: str) -> None:
        self.handle = handle
        self.reason = reason
        super().__init__(f"Unable to resolve handle: {handle} ({reason})")


@dataclass(slots=True, frozen=True)
class _Nowhere:
    """A cached negative result: no DID or, with a `failure`, no usable answer."""

    failure: str | None


@dataclass(slots=True, frozen=True)
class HandleClaim:
    """What one of the two methods of resolving a handle says right now."""

    did: Did | None
    failure: str = ""
    """Why there is no answer; empty if there is one, be it that no DID is named."""


class _Failed(Exception):
    """One method of resolving gave no usable answer."""


class HandleResolver:
    """Looks up handles in DNS and over HTTPS. A result is only a claim by the handle's owner."""

    def __init__(
        self,
        http: SafeHttp,
        *,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        lookups: Lookups | None = None,
        nameservers: Sequence[str] = (),
        backup_nameservers: Sequence[str] = (),
        share: Share | None = None,
        files: OpenFiles | None = None,
        scheme: Literal["https", "http"] = "https",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nameservers are `host` or `host:port`; without any, those of `lookups` are queried.

        `share` and `files` are for the backup nameservers. `scheme` is http only on a closed
        network without certificates.
        """
        self._http = http
        self._dns = lookups or Lookups(
            timeout_ms=timeout_ms,
            client=_client(nameservers, timeout_ms) if nameservers else None,
        )
        self._backup_dns = (
            Lookups(
                timeout_ms=timeout_ms,
                client=_client(backup_nameservers, timeout_ms),
                share=share,
                files=files,
            )
            if backup_nameservers
            else None
        )
        self._scheme = scheme
        self._negative: TTLCache[Handle, _Nowhere] = TTLCache(
            _NEGATIVE_CACHED, _NEGATIVE_S, timer=clock
        )

    async def resolve(self, handle: Handle, *, fresh: bool = False) -> Did | None:
        """Return the DID that `handle` points to, or None if it points to none.

        `fresh` ignores cached negative results. Raises `HandleUnresolvable` if neither DNS nor
        HTTPS gives an answer.
        """
        if fresh:
            with fresh_lookups():
                return await self._resolve(handle)
        # A single cache look-up, because an entry may expire between two.
        known = self._negative.get(handle)
        if known is None:
            return await self._resolve(handle)
        if known.failure is not None:
            raise HandleUnresolvable(handle, known.failure)
        return None

    async def claims(self, handle: Handle) -> tuple[HandleClaim, HandleClaim]:
        """Return what DNS and what the well-known file say right now, each by itself.

        For people who set up a domain. Where both name a DID, `resolve` returns that of DNS.
        """
        with fresh_lookups():
            found = await asyncio.gather(
                _claim(_ask_dns(self._dns, handle)), _claim(self._ask_web(handle))
            )
        self._negative.pop(handle, None)
        return found

    async def _resolve(self, handle: Handle) -> Did | None:
        try:
            did = await self._ask(handle)
        except HandleUnresolvable as exc:
            self._negative[handle] = _Nowhere(exc.reason)
            raise
        if did is None:
            self._negative[handle] = _Nowhere(None)
        else:
            self._negative.pop(handle, None)
        return did

    async def _ask(self, handle: Handle) -> Did | None:
        web = asyncio.create_task(self._ask_web(handle))
        try:
            failures: list[str] = []
            did = await _outcome(_ask_dns(self._dns, handle), failures)
            did = did or await _outcome(web, failures)
            if did is None and self._backup_dns is not None:
                did = await _outcome(_ask_dns(self._backup_dns, handle), [])
            if did is None and len(failures) == 2:
                raise HandleUnresolvable(handle, "; ".join(failures))
            return did
        finally:
            # DNS takes precedence, so once it has answered, do not wait for the request.
            web.cancel()
            await asyncio.gather(web, return_exceptions=True)

    async def _ask_web(self, handle: Handle) -> Did | None:
        url = f"{self._scheme}://{handle}/.well-known/atproto-did"
        try:
            text = await self._http.get_text(
                url, max_bytes=_MAX_WELL_KNOWN_BYTES, max_redirects=_MAX_REDIRECTS
            )
        except FetchStatus:
            return None
        except FetchError as exc:
            raise _Failed(f"HTTPS: {exc.reason}") from exc
        return _did(text.partition("\n")[0].strip())


def did_of_txt_records(records: Sequence[bytes]) -> Did | None:
    """Return the DID in the TXT records at `_atproto.`; None if they name two different ones."""
    values = {
        text.removeprefix(_PREFIX).strip()
        for record in records
        if (text := record.decode("ascii", "replace")).startswith(_PREFIX)
    }
    return _did(values.pop()) if len(values) == 1 else None


async def _ask_dns(lookups: Lookups, handle: Handle) -> Did | None:
    try:
        records = await lookups.find(f"_atproto.{handle}", "TXT")
    except LookupFailed as exc:
        raise _Failed(f"DNS: {exc}") from exc
    texts = [b"".join(record.strings) for record in records if isinstance(record, TXT)]
    return did_of_txt_records(texts[:_MAX_TXT_RECORDS])


async def _claim(asked: Awaitable[Did | None]) -> HandleClaim:
    try:
        return HandleClaim(await asked)
    except _Failed as exc:
        return HandleClaim(None, str(exc))


async def _outcome(asked: Awaitable[Did | None], failures: list[str]) -> Did | None:
    """Return the result of `asked`; append a failure to `failures` and return None."""
    try:
        return await asked
    except _Failed as exc:
        failures.append(str(exc))
        return None


def _did(text: str) -> Did | None:
    try:
        return parse_did(text)
    except InvalidSyntax:
        return None


def _client(nameservers: Sequence[str], timeout_ms: int) -> Client:
    """Return a client of `nameservers`, whose own names are looked up on first use."""
    made: list[dns.asyncresolver.Resolver] = []

    async def client() -> dns.asyncresolver.Resolver:
        if not made:
            found = [address for name in nameservers for address in await _addresses(name)]
            if not found:
                raise LookupFailed("the nameservers have no addresses")
            made.append(make_client(found, timeout_s=timeout_ms / 1_000))
        return made[0]

    return client


async def _addresses(nameserver: str) -> list[tuple[str, int]]:
    host, _, port = nameserver.strip().partition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, int(port or DNS_PORT), type=socket.SOCK_DGRAM
        )
    except (OSError, ValueError):
        return []
    return [(str(target[0]), int(target[1])) for *_, target in found]
