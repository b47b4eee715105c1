"""Handles to DIDs: DNS and HTTPS side by side, then the backup nameservers.

Spec: https://atproto.com/specs/handle#handle-resolution
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Sequence
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver

from identity.http import FetchError, FetchStatus, SafeHttp
from repo.syntax import Did, Handle, InvalidSyntax, parse_did

DEFAULT_TIMEOUT_MS: Final = 3_000

_PREFIX: Final = "did="
_MAX_WELL_KNOWN_BYTES: Final = 4_096
"""A DID has at most 2,048 characters; the rest is for white space."""
_MAX_REDIRECTS: Final = 3
_DNS_PORT: Final = 53
_MAX_TXT_RECORDS: Final = 100


class HandleUnresolvable(Exception):
    """No way of resolving `handle` gave a usable answer, so it may or may not have a DID."""

    def __init__(self, handle: Handle, reason: str) -> None:
        self.handle = handle
        self.reason = reason
        super().__init__(f"Unable to resolve handle: {handle} ({reason})")


class _Failed(Exception):
    """One way of resolving gave no usable answer."""


class HandleResolver:
    """Looks handles up in DNS and over HTTPS. What it finds is a claim of the handle's owner."""

    def __init__(
        self,
        http: SafeHttp,
        *,
        timeout_ms: int = DEFAULT_TIMEOUT_MS,
        nameservers: Sequence[str] = (),
        backup_nameservers: Sequence[str] = (),
        scheme: Literal["https", "http"] = "https",
    ) -> None:
        """Nameservers are `host` or `host:port`; without any, the system's are asked.

        `scheme` is http only on a closed network without certificates.
        """
        self._http = http
        self._timeout_ms = timeout_ms
        self._nameservers = tuple(nameservers)
        self._backup_nameservers = tuple(backup_nameservers)
        self._scheme = scheme
        self._dns: dns.asyncresolver.Resolver | None = None
        self._backup_dns: dns.asyncresolver.Resolver | None = None

    async def resolve(self, handle: Handle) -> Did | None:
        """The DID that `handle` points to, or None if it points to none.

        Raises `HandleUnresolvable` if neither DNS nor HTTPS could say.
        """
        web = asyncio.create_task(self._ask_web(handle))
        try:
            failures: list[str] = []
            did = await _outcome(self._ask_dns(handle), failures)
            did = did or await _outcome(web, failures)
            if did is None and self._backup_nameservers:
                did = await _outcome(self._ask_backup_dns(handle), [])
            if did is None and len(failures) == 2:
                raise HandleUnresolvable(handle, "; ".join(failures))
            return did
        finally:
            # DNS has the last word, so the request is not waited for once it has spoken.
            web.cancel()
            await asyncio.gather(web, return_exceptions=True)

    async def _ask_dns(self, handle: Handle) -> Did | None:
        if self._dns is None:
            self._dns = await _resolver(self._nameservers, self._timeout_ms)
        return await self._ask(self._dns, handle)

    async def _ask_backup_dns(self, handle: Handle) -> Did | None:
        if self._backup_dns is None:
            self._backup_dns = await _resolver(self._backup_nameservers, self._timeout_ms)
        return await self._ask(self._backup_dns, handle)

    async def _ask(self, resolver: dns.asyncresolver.Resolver, handle: Handle) -> Did | None:
        try:
            answer = await resolver.resolve(f"_atproto.{handle}.", "TXT", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        except (dns.exception.DNSException, OSError) as exc:
            raise _Failed(f"DNS: {exc or type(exc).__name__}") from exc
        texts = [b"".join(record.strings) for record in answer][:_MAX_TXT_RECORDS]
        return did_of_txt_records(texts)

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
    """The DID that TXT records at `_atproto.` name. Two different ones name none."""
    values = {
        text.removeprefix(_PREFIX).strip()
        for record in records
        if (text := record.decode("ascii", "replace")).startswith(_PREFIX)
    }
    return _did(values.pop()) if len(values) == 1 else None


async def _outcome(asked: Awaitable[Did | None], failures: list[str]) -> Did | None:
    """What `asked` found; a failure is noted and counts as nothing found."""
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


async def _resolver(nameservers: Sequence[str], timeout_ms: int) -> dns.asyncresolver.Resolver:
    """A DNS client that asks `nameservers`, or the system's if there are none."""
    try:
        resolver = dns.asyncresolver.Resolver(configure=not nameservers)
    except dns.resolver.NoResolverConfiguration as exc:
        raise _Failed("DNS: the system has no nameservers") from exc
    resolver.lifetime = timeout_ms / 1_000
    if nameservers:
        found = [address for name in nameservers for address in await _addresses(name)]
        if not found:
            raise _Failed("DNS: the nameservers have no addresses")
        resolver.nameservers = [dns.nameserver.Do53Nameserver(*address) for address in found]
    return resolver


async def _addresses(nameserver: str) -> list[tuple[str, int]]:
    host, _, port = nameserver.strip().partition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, int(port or _DNS_PORT), type=socket.SOCK_DGRAM
        )
    except (OSError, ValueError):
        return []
    return [(str(target[0]), int(target[1])) for *_, target in found]
