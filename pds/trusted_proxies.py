"""Which proxies are believed, and which host a request was sent to before they passed it on.

A proxy on this machine or in its network says in `X-Forwarded-` headers what it was asked;
anyone else could say anything there.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from aiohttp import hdrs, web

_NEIGHBOURS: Final = tuple(
    ip_network(network)
    for network in (
        # Loopback, link-local, and networks that are private by their addresses
        *("127.0.0.0/8", "::1/128"),
        *("169.254.0.0/16", "fe80::/10"),
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    )
)


def is_trusted_proxy(address: str | None) -> bool:
    """Whether the peer at an IP address may say what it was asked."""
    try:
        peer = ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped is not None:
        peer = peer.ipv4_mapped
    return any(peer in network for network in _NEIGHBOURS)


def host_of(request: web.Request) -> str:
    """The host name in lower case that a request was sent to, without its port; maybe empty."""
    host = request.headers.get(hdrs.HOST, "")
    forwarded = request.headers.get(hdrs.X_FORWARDED_HOST)
    if forwarded and is_trusted_proxy(request.remote):
        # Each proxy adds its own at the end: the first is what the client asked for.
        host = forwarded.partition(",")[0].strip()
    return host.partition(":")[0].lower()
