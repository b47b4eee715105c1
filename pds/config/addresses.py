"""Parsing hosts and networks as operators write them in settings.

Each parser raises `ValueError` for invalid text.
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
"""Networks in which only this server's own reverse proxies are: no stranger connects from them."""

_HOST_AND_PORT: Final = re.compile(r"(?P<host>[^\s:\[\]/]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d+))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def normal_host(name: str) -> str:
    """Normalize a host name or domain as in handles: lower case, without the trailing dot."""
    return name.lower().removesuffix(".") or name


def is_same_server(endpoint: str | None, url: str) -> bool:
    """Whether the endpoint in a DID equals the base URL `url`, however its host is written.

    The reference PDS writes the host into DIDs as the operator has spelled it.
    """
    if endpoint is None or endpoint == url:
        return endpoint is not None
    scheme, separator, rest = endpoint.partition("://")
    host, slash, path = rest.partition("/")
    name, colon, port = host.partition(":")
    return f"{scheme.lower()}{separator}{normal_host(name)}{colon}{port}{slash}{path}" == url


def parse_network(text: str) -> IpNetwork:
    """Parse an address, or a network such as 192.0.2.0/24 whose host part may be nonzero."""
    return ip_network(text.strip(), strict=False)


def parse_host_port(text: str, *, default_port: int) -> tuple[str, int]:
    """Parse `host` or `host:port`; an IPv6 address is in brackets."""
    match = _HOST_AND_PORT.fullmatch(text.strip())
    port = int(match["port"] or default_port) if match else 0
    if match is None or not 0 < port < 65_536:
        raise ValueError(f'"{text}" is not host[:port]')
    return match["host"].strip("[]"), port


def is_http_url(text: str) -> bool:
    """Whether `text` is a URL with scheme http or https, a host and no impossible port."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_base_url(text: str) -> str:
    """Parse the URL of a server, dropping a trailing slash; a bare host becomes an https URL."""
    url = text.strip()
    if not _SCHEME.match(url):
        url = f"https://{url}"
    if not is_http_url(url):
        raise ValueError(f'"{text}" is not the URL of a server')
    return url.rstrip("/")


def normal_base_url(text: str) -> str:
    """Return the URL of a server with scheme and host in lower case, without a default port.

    Text that is no such URL is returned as far as it can be: the checks of settings report it.
    """
    try:
        url = parse_base_url(text)
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return text.rstrip("/")
    if "@" in parts.netloc or parts.query or parts.fragment:
        return url
    host = normal_host(parts.hostname or "")
    is_default = port is None or port == _DEFAULT_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}{'' if is_default else f':{port}'}{parts.path}"


def address_by_old_name(host: str | None) -> str:
    """Return the address to bind that PDS_HOST, the old name of PDS_BIND_ADDRESS, gives, or ""."""
    return "" if host is None or is_url(host) else host


def is_url(text: str) -> bool:
    """Whether the text is a URL, not an address: goat uses PDS_HOST for the URL of a PDS."""
    return "://" in text
