"""The name servers that the system asks, as a client that waits for none of them for long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver

from identity.watched_file import WatchedFile

RESOLV_CONF: Path = Path("/etc/resolv.conf")
MAX_TCP_BYTES: Final = 8 * 1024
"""Longest answer that is read where one packet has not been enough.

Parsing takes 2 us a byte, and 64 KiB would stop everybody else for a tenth of a second.
"""
_ATTEMPTS: Final = 3
"""How often a name server may be silent, or another be asked, within the time of a look-up."""
_LENGTH_BYTES: Final = 2


class Nameserver(dns.nameserver.Do53Nameserver):
    """A name server whose answers have a bound."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109 (as the library has it)
        *args: Any,
        **named: Any,
    ) -> dns.message.Message:
        """The answer to a query, over TCP with `max_size`. Raises what dnspython raises."""
        if not named.get("max_size"):
            return await super().async_query(request, timeout, *args, **named)
        # A name server that fails with an `OSError` or `EOFError` is not asked again.
        async with asyncio.timeout(timeout):
            return await self._over_tcp(request)

    async def _over_tcp(self, request: dns.message.QueryMessage) -> dns.message.Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(request.to_wire(prepend_length=True))
            size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
            if size > MAX_TCP_BYTES:
                raise OSError(f"the answer has {size} bytes")
            answer = dns.message.from_wire(await reader.readexactly(size))
        finally:
            writer.close()
        if not request.is_response(answer):
            raise OSError("the answer is to another question")
        return answer


class SystemNameservers:
    """Those of /etc/resolv.conf, read anew when it has changed."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._path = RESOLV_CONF
        self._file = WatchedFile(self._path, self._parse)

    def client(self) -> dns.asyncresolver.Resolver:
        """What asks them. Raises `OSError` if there are none."""
        found = self._file.content()
        if found is None:
            raise OSError(f"{self._path} names no name servers")
        return found

    def _parse(self, path: Path) -> dns.asyncresolver.Resolver | None:
        read = dns.asyncresolver.Resolver(configure=False)
        try:
            read.read_resolv_conf(str(path))
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        addresses = [(str(server), read.port) for server in read.nameservers]
        client = make_client(addresses, timeout_s=self._timeout_s)
        client.rotate = read.rotate
        return client


def make_client(
    addresses: list[tuple[str, int]], *, timeout_s: float
) -> dns.asyncresolver.Resolver:
    """What asks the name servers at some addresses, one after the other."""
    client = dns.asyncresolver.Resolver(configure=False)
    client.nameservers = [Nameserver(*address) for address in addresses]
    client.lifetime, client.timeout = timeout_s, timeout_s / _ATTEMPTS
    return client
