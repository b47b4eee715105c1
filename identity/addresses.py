"""IP addresses, and which of them are on the public internet.

A host named by a stranger (a did:web, a handle, an OAuth client) must not make this server connect
to its own network: its database, its metadata service, the administrator's router.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that IANA has assigned for public use. Excludes loopback, ULA, link-local and so on."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Special-purpose networks that `is_global` accepts in some Python versions.
_SPECIAL_V4: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_SPECIAL_V6: Final = (
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)


def is_address(text: str) -> bool:
    """Whether `text` is an IP address rather than a name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_public_address(text: str) -> bool:
    """Whether `text` is an IP address of a single host on the public internet."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        embedded = _embedded_ipv4(address)
        return _is_public_v6(address) if embedded is None else _is_public_v4(embedded)
    return _is_public_v4(address)


def _is_public_v4(address: IPv4Address) -> bool:
    # is_global already refuses private, shared (CGNAT), link-local and documentation networks.
    special = address.is_multicast or any(address in network for network in _SPECIAL_V4)
    return address.is_global and not special


def _is_public_v6(address: IPv6Address) -> bool:
    special = any(address in network for network in _SPECIAL_V6)
    return address in _GLOBAL_UNICAST and address.is_global and not special


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that receives traffic to `address`, if it is an IPv6 form of one."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
