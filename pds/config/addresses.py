"""Hosts and networks as operators write them in settings.

Each function raises `ValueError` for what is none.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

IpNetwork: TypeAlias = IPv4Network | IPv6Network

PRIVATE_NETWORKS: Final[tuple[IpNetwork, ...]] = tuple(
    map(
        ip_network,
        (
            *("127.0.0.0/8", "::1/128"),  # loopback
            *("169.254.0.0/16", "fe80::/10"),  # link-local
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),  # unique-local
        ),
    )
)
"""Where a reverse proxy of this server's own is: no stranger connects from there."""

_HOST_AND_PORT: Final = re.compile(r"(?P<host>[^\s:\[\]/]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d+))?")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def normal_host(name: str) -> str:
    """A host name or domain as handles have it: in small letters, without the dot of the root."""
    return name.lower().removesuffix(".") or name


def is_same_server(endpoint: str | None, url: str) -> bool:
    """Whether the endpoint in a DID is that of the base URL `url`, however its host is written.

    The reference writes the host into DIDs as the operator has written it.
    """
    if endpoint is None or endpoint == url:
        return endpoint is not None
    scheme, separator, rest = endpoint.partition("://")
    host, slash, path = rest.partition("/")
    name, colon, port = host.partition(":")
    return f"{scheme.lower()}{separator}{normal_host(name)}{colon}{port}{slash}{path}" == url


def parse_network(text: str) -> IpNetwork:
    """An address, or a network such as 192.0.2.0/24 whose host part need not be zero."""
    return ip_network(text.strip(), strict=False)


def parse_host_port(text: str, *, default_port: int) -> tuple[str, int]:
    """`host` or `host:port`; an IPv6 address stands in brackets."""
    match = _HOST_AND_PORT.fullmatch(text.strip())
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port < 65_536:
        raise ValueError(f'"{text}" is not host[:port]')
    return match["host"].strip("[]"), port


def parse_base_url(text: str) -> str:
    """The URL of a server, without a trailing slash; a bare host is reached by https."""
    url = text.strip()
    if not _SCHEME.match(url):
        url = f"https://{url}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(f'"{text}" is not the URL of a server')
    return url.rstrip("/")


def address_by_old_name(host: str | None) -> str:
    """The address to bind by PDS_HOST, the old name of PDS_BIND_ADDRESS; empty for none."""
    return "" if host is None or is_url(host) else host


def is_url(text: str) -> bool:
    """Whether the text is no address: goat has the URL of a PDS in PDS_HOST."""
    return "://" in text
