"""Which IP addresses are on the public internet.

What a stranger names (a did:web, a handle, an OAuth client) must not make this server talk to
its own neighbours: its database, its metadata service, the administrator's router.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA has handed out for public use. Loopback, ULA, link-local and so on lie outside."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


def is_public_address(text: str) -> bool:
    """Whether `text` is an IP address that routes on the public internet, and to one host."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        embedded = _embedded_ipv4(address)
        if embedded is None:
            return address in _GLOBAL_UNICAST and address.is_global
        address = embedded
    # is_global already refuses private, shared (CGNAT), link-local and documentation networks.
    return address.is_global and not address.is_multicast


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that traffic to `address` ends at, if it is an IPv6 form of one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
