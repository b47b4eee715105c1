"""The client address and the requested host of a request, also behind reverse proxies.

A connection from one of our own proxies carries the client's address in X-Forwarded-For, to which
each proxy has appended its peer's address. The list is read from its end as long as its writers are
trusted, so entries written by the client itself are never believed. The requested host is in
X-Forwarded-Host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from aiohttp import hdrs, web

from pds.config.addresses import IpNetwork

IpAddress: TypeAlias = IPv4Address | IPv6Address

FORWARDED_FOR: Final = "X-Forwarded-For"

_MAX_HOPS: Final = 32
"""More chained proxies than any real setup has."""
_MAX_TEXT: Final = 64
"""Longer than any address with a port."""
_KNOWN_ADDRESSES: Final = 4096
_CLIENT_PREFIX_BITS: Final = 64


@dataclass(slots=True, frozen=True)
class ClientAddress:
    """The address that a request comes from, as far as it can be determined."""

    ip: IpAddress | None
    """None if unknown, for example after the connection was lost."""
    text: str
    """The address as text, for people."""
    group: str
    """The key under which the client is counted.

    An IPv4 address, or the first 64 bits of an IPv6 address, because the client chooses the rest.
    """


_UNKNOWN: Final = ClientAddress(None, "unknown", "unknown")


class ClientAddresses:
    """Finds the client of each request, past the proxies in `trusted` networks."""

    def __init__(self, trusted: Iterable[IpNetwork]) -> None:
        self._trusted = tuple(trusted)
        self._hop = lru_cache(_KNOWN_ADDRESSES)(self._parse_hop)

    def of(self, request: web.BaseRequest) -> ClientAddress:
        """Return the client of a request. A list with a malformed relevant entry is ignored."""
        peer = self._hop(request.remote or "")
        if peer is None:
            return _UNKNOWN
        address, is_trusted = peer
        if not is_trusted or FORWARDED_FOR not in request.headers:
            return address
        return self._behind(address, ",".join(request.headers.getall(FORWARDED_FOR)))

    def host_of(self, request: web.BaseRequest) -> str:
        """Return the requested host name in lower case, without a port; may be empty."""
        host = request.headers.get(hdrs.HOST, "")
        forwarded = request.headers.get(hdrs.X_FORWARDED_HOST)
        if forwarded and self.trusts_peer(request):
            # Each proxy appends its own, so the first is the client's.
            host = forwarded.partition(",")[0].strip()
        return host.partition(":")[0].lower()

    def trusts_peer(self, request: web.BaseRequest) -> bool:
        """Whether the connection comes from a trusted network, as that of our own proxies does."""
        peer = self._hop(request.remote or "")
        return peer is not None and peer[1]

    def is_of_this_machine(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from this machine, and not through a local proxy."""
        peer = self._hop(request.remote or "")
        local = peer is not None and peer[0].ip is not None and peer[0].ip.is_loopback
        return local and FORWARDED_FOR not in request.headers

    def _behind(self, proxy: ClientAddress, forwarded: str) -> ClientAddress:
        """Return the client behind our own `proxy`: the last untrusted address in the list."""
        client = proxy
        for text in reversed(forwarded.rsplit(",", _MAX_HOPS)):
            hop = self._hop(text.strip()) if len(text) <= _MAX_TEXT else None
            if hop is None:
                return proxy
            client, is_trusted = hop
            if not is_trusted:
                break
        return client

    def _parse_hop(self, text: str) -> tuple[ClientAddress, bool] | None:
        """Return an address and whether it is trusted; None if `text` is not an address."""
        ip = _parse_ip(text)
        if ip is None:
            return None
        return ClientAddress(ip, str(ip), _group_of(ip)), any(
            ip in network for network in self._trusted
        )


def _parse_ip(text: str) -> IpAddress | None:
    """Parse an IP address, dropping any port. An IPv4-mapped IPv6 address becomes IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _group_of(ip: IpAddress) -> str:
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(IPv6Network((ip, _CLIENT_PREFIX_BITS), strict=False))
