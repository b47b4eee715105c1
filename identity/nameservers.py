"""A client of the system's name servers that waits for none of them for long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, cast

import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver

from identity.addresses import is_address
from identity.dns_answer import OtherAnswer, encode_question, parse_answer
from identity.watched_file import WatchedFile

RESOLV_CONF: Path = Path("/etc/resolv.conf")
DNS_PORT: Final = 53
MAX_TCP_BYTES: Final = 8 * 1024
"""Largest answer accepted over TCP, used if one packet is not enough."""
_ATTEMPTS: Final = 3
"""Attempts within the timeout of a look-up, at the same or another name server."""
_LENGTH_BYTES: Final = 2
_LOCAL: Final = "127.0.0.1"


class Nameserver(dns.nameserver.Do53Nameserver):
    """A name server with bounded answers, queried on a new socket each time.

    The socket accepts packets only from that server. `by_tcp_only` is for a server without UDP.
    """

    def __init__(self, address: str, port: int, *, by_tcp_only: bool = False) -> None:
        super().__init__(address, port)
        self._by_tcp_only = by_tcp_only

    def is_always_max_size(self) -> bool:
        """Whether to use TCP at once."""
        return self._by_tcp_only

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109 (as the library has it)
        *_: Any,
        **named: Any,
    ) -> dns.message.Message:
        """Return the answer to a query, over TCP if `max_size`. Raises what dnspython raises."""
        if named.get("max_size"):
            # dnspython does not retry a name server that fails with an `OSError` or `EOFError`.
            async with asyncio.timeout(timeout):
                return await self._over_tcp(request)
        try:
            async with asyncio.timeout(timeout):
                return await self._by_packet(request)
        except TimeoutError as exc:
            # It does retry after a timeout, as packets get lost.
            raise dns.exception.Timeout from exc

    async def _by_packet(self, request: dns.message.QueryMessage) -> dns.message.Message:
        transport, packets = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Packets(request), remote_addr=(self.address, self.port)
        )
        try:
            return await packets.answer
        finally:
            transport.close()

    async def _over_tcp(self, request: dns.message.QueryMessage) -> dns.message.Message:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            question = encode_question(request)
            writer.write(len(question).to_bytes(_LENGTH_BYTES, "big") + question)
            size = int.from_bytes(await reader.readexactly(_LENGTH_BYTES), "big")
            if size > MAX_TCP_BYTES:
                raise OSError(f"the answer has {size} bytes")
            return parse_answer(request, await reader.readexactly(size))
        finally:
            writer.close()


class _Packets(asyncio.DatagramProtocol):
    """Sends a question, and waits for the packet that answers it."""

    def __init__(self, request: dns.message.QueryMessage) -> None:
        self.answer: asyncio.Future[dns.message.Message] = (
            asyncio.get_running_loop().create_future()
        )
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(encode_question(self._request))

    def datagram_received(self, data: bytes, _: object) -> None:
        if self.answer.done():
            return
        try:
            self.answer.set_result(parse_answer(self._request, data))
        except OtherAnswer:
            pass  # Ignore it: the real answer may still arrive.
        except dns.exception.DNSException as exc:
            self.answer.set_exception(exc)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


class SystemNameservers:
    """The name servers in /etc/resolv.conf, which is reread when it changes.

    If it names none, a name server on this machine is queried, as the system itself would.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._file = WatchedFile(RESOLV_CONF, self._parse)

    def client(self) -> dns.asyncresolver.Resolver:
        """Return a client of these name servers."""
        return self._file.content()

    def _parse(self, path: Path) -> dns.asyncresolver.Resolver:
        try:
            text = path.read_text(errors="replace")
        except OSError:
            text = ""
        addresses: list[tuple[str, int]] = []
        options: set[str] = set()
        for line in text.splitlines():
            match line.split():
                case ["nameserver", address, *_] if is_address(address):
                    addresses.append((address, DNS_PORT))
                case ["options", *given]:
                    options.update(given)
        client = make_client(
            addresses or [(_LOCAL, DNS_PORT)],
            timeout_s=self._timeout_s,
            by_tcp_only="use-vc" in options,
        )
        client.rotate = "rotate" in options
        return client


def make_client(
    addresses: list[tuple[str, int]], *, timeout_s: float, by_tcp_only: bool = False
) -> dns.asyncresolver.Resolver:
    """Return a client that queries the name servers at `addresses`, one after the other."""
    client = dns.asyncresolver.Resolver(configure=False)
    client.nameservers = [Nameserver(*address, by_tcp_only=by_tcp_only) for address in addresses]
    client.lifetime, client.timeout = timeout_s, timeout_s / _ATTEMPTS
    return client
