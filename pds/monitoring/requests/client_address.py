"""Whose request it is, and for which host: also behind reverse proxies.

A connection from one of our own proxies brings the client's address in X-Forwarded-For, to which
each proxy has added whom it was connected to. The list is read from its end for as long as those
who wrote it are trusted, so what a client itself puts there is never believed. The host that was
asked for comes in X-Forwarded-Host.
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
"""More proxies in a row than anybody has."""
_MAX_TEXT: Final = 64
"""Longer than any address with a port."""
_KNOWN_ADDRESSES: Final = 4096
_CLIENT_PREFIX_BITS: Final = 64


@dataclass(slots=True, frozen=True)
class ClientAddress:
    """The address that a request comes from, as far as it can be known."""

    ip: IpAddress | None
    """None where there is none, as for a connection that has just been lost."""
    text: str
    """The address as people write it."""
    group: str
    """What stands for the client where clients are counted.

    An IPv4 address; of an IPv6 address the first 64 bits, for the rest is the client's own choice.
    """


_UNKNOWN: Final = ClientAddress(None, "unknown", "unknown")


class ClientAddresses:
    """Finds the client of each request, past the proxies in `trusted` networks."""

    def __init__(self, trusted: Iterable[IpNetwork]) -> None:
        self._trusted = tuple(trusted)
        self._hop = lru_cache(_KNOWN_ADDRESSES)(self._parse_hop)

    def of(self, request: web.BaseRequest) -> ClientAddress:
        """The client of a request. A list that is malformed where it counts is ignored."""
        peer = self._hop(request.remote or "")
        if peer is None:
            return _UNKNOWN
        address, is_trusted = peer
        if not is_trusted or FORWARDED_FOR not in request.headers:
            return address
        return self._behind(address, ",".join(request.headers.getall(FORWARDED_FOR)))

    def host_of(self, request: web.BaseRequest) -> str:
        """The host name in lower case that the client asked for, without a port; maybe empty."""
        host = request.headers.get(hdrs.HOST, "")
        forwarded = request.headers.get(hdrs.X_FORWARDED_HOST)
        if forwarded and self.trusts_peer(request):
            # Each proxy adds its own at the end.
            host = forwarded.partition(",")[0].strip()
        return host.partition(":")[0].lower()

    def trusts_peer(self, request: web.BaseRequest) -> bool:
        """Whether the connection comes from one of our own proxies, or might."""
        peer = self._hop(request.remote or "")
        return peer is not None and peer[1]

    def is_of_this_machine(self, request: web.BaseRequest) -> bool:
        """Whether a request comes from this machine, and not through a proxy on it."""
        peer = self._hop(request.remote or "")
        local = peer is not None and peer[0].ip is not None and peer[0].ip.is_loopback
        return local and FORWARDED_FOR not in request.headers

    def _behind(self, proxy: ClientAddress, forwarded: str) -> ClientAddress:
        """Who is behind our own `proxy`: the last address in the list that is no such itself."""
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
        """An address and whether it is trusted; None for what is no address."""
        ip = _parse_ip(text)
        if ip is None:
            return None
        return ClientAddress(ip, str(ip), _group_of(ip)), any(
            ip in network for network in self._trusted
        )


def _parse_ip(text: str) -> IpAddress | None:
    """An IP address; an IPv4 address in IPv6 form is one. A port, if there is one, is dropped."""
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
