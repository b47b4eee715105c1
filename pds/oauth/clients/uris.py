"""URIs in client ids and client metadata, parsed as browsers parse them.

A browser follows redirect URIs, so both sides have to see the same host in one. pydantic parses
with the parser of Rust's `url`, which follows the WHATWG URL Standard.

Spec: https://url.spec.whatwg.org, https://www.rfc-editor.org/rfc/rfc8252
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydantic_core import Url

MAX_LENGTH: Final = 2_048
"""Characters of one URI; that of a loopback client's id is `client_id.MAX_LENGTH`."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_LOCAL_DOMAINS: Final = frozenset(("test", "local", "localhost", "invalid", "example"))
"""Top-level domains that never lead to a host on the internet (RFC 2606, RFC 6762)."""
_HOST: Final = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_IPV4: Final = re.compile(r"\d+\.\d+\.\d+\.\d+")
_PRIVATE_USE: Final = re.compile(r"[^.:]+(?:\.[^.:]+)+:")


class InvalidUri(ValueError):
    """The text is not a URI, or not one of the kind that is asked for."""


@dataclass(slots=True, frozen=True)
class Uri:
    """A URI and its parts."""

    href: str
    """The canonical spelling."""
    scheme: str
    host: str
    """In lower case and ASCII, an IPv6 address in brackets; empty if there is none."""
    port: int | None
    """None for the scheme's default."""
    path: str
    query: str | None
    fragment: str | None
    has_credentials: bool

    @classmethod
    def parse(cls, text: str, *, max_length: int = MAX_LENGTH) -> Uri:
        """Parse a URI. Raises `InvalidUri`."""
        # A browser drops tabs and line ends, trims spaces and turns backslashes, so such text has
        # two readings.
        if len(text) > max_length or not text.isprintable() or " " in text or "\\" in text:
            raise InvalidUri("Invalid URL")
        try:
            url = Url(text)
        except ValueError as exc:
            raise InvalidUri("Invalid URL") from exc
        # The standard allows more, such as ";", which means something in a security policy.
        if url.scheme in _DEFAULT_PORTS and _HOST.fullmatch(url.host or "") is None:
            raise InvalidUri("Invalid URL")
        port = None if url.port == _DEFAULT_PORTS.get(url.scheme) else url.port
        return cls(
            href=str(url),
            scheme=url.scheme,
            host=url.host or "",
            port=port,
            path=url.path or "",
            query=url.query,
            fragment=url.fragment,
            has_credentials=bool(url.username or url.password),
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port, in one spelling."""
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")

    @property
    def has_private_use_scheme(self) -> bool:
        """Whether the scheme is a domain name in reverse order (RFC 8252, section 7.1)."""
        return "." in self.scheme


def is_ip(host: str) -> bool:
    """Whether the host of a `Uri` is an address."""
    return host.startswith("[") or _IPV4.fullmatch(host) is not None


def is_loopback(host: str) -> bool:
    """Whether the host of a `Uri` is this machine."""
    return host in ("localhost", "127.0.0.1", "[::1]")


def is_local(host: str) -> bool:
    """Whether a name is none of the internet's: of one label, or under a reserved domain."""
    labels = host.removesuffix(".").lower().split(".")
    return len(labels) < 2 or labels[-1] in _LOCAL_DOMAINS


def parse_https(text: str, *, max_length: int = MAX_LENGTH) -> Uri:
    """Parse an https URL that does not lead to this machine. Raises `InvalidUri`."""
    if not text.startswith("https://"):
        raise InvalidUri('URL must use the "https:" protocol')
    uri = Uri.parse(text, max_length=max_length)
    if is_loopback(uri.host):
        raise InvalidUri("https: URL must not use a loopback host")
    if is_ip(uri.host):
        return uri
    if "." not in uri.host:
        raise InvalidUri("Domain name must contain at least two segments")
    if uri.host.endswith(".local"):
        raise InvalidUri('Domain name must not end with ".local"')
    return uri


def parse_loopback(text: str) -> Uri:
    """Parse an http URL of this machine. Raises `InvalidUri`."""
    if not text.startswith("http://"):
        raise InvalidUri('URL must use the "http:" protocol')
    uri = Uri.parse(text)
    if not is_loopback(uri.host):
        raise InvalidUri('URL must use "localhost", "127.0.0.1" or "[::1]" as hostname')
    return uri


def parse_web(text: str) -> Uri:
    """Parse a URL of a web page. Raises `InvalidUri`."""
    if text.startswith("http://"):
        return parse_loopback(text)
    if text.startswith("https://"):
        return parse_https(text)
    raise InvalidUri('URL must use the "http:" or "https:" protocol')


def parse_loopback_redirect(text: str) -> Uri:
    """Parse an http redirect URI with a loopback address. Raises `InvalidUri`."""
    uri = parse_loopback(text)
    if uri.host == "localhost":
        raise InvalidUri(
            'Use of "localhost" hostname is not allowed (RFC 8252), '
            'use a loopback IP such as "127.0.0.1" instead'
        )
    return uri


def parse_redirect(text: str) -> Uri:
    """Parse a redirect URI of any kind. Raises `InvalidUri`."""
    if text.startswith("https:"):
        return parse_https(text)
    if text.startswith("http:"):
        return parse_loopback_redirect(text)
    if _PRIVATE_USE.match(text):
        return _parse_private_use(text)
    raise InvalidUri(
        'URL must use the "https:" or "http:" protocol, or a private-use URI scheme (RFC 8252)'
    )


def _parse_private_use(text: str) -> Uri:
    """Parse a URI whose scheme is a domain name in reverse order."""
    uri = Uri.parse(text)
    if is_local(reversed_domain(uri.scheme)):
        raise InvalidUri("Private-use URI Scheme redirect URI must not be a local hostname")
    # One slash, or none: no authority is named, for nobody assigns names under such a scheme.
    if uri.href.startswith(f"{uri.scheme}://") or uri.host:
        raise InvalidUri(
            "Private-Use URI Scheme must be in the form <scheme>:/{path} "
            "(notice the single slash!) as per RFC 8252"
        )
    return uri


def reversed_domain(domain: str) -> str:
    """Return a domain name with its labels in reverse order."""
    return ".".join(reversed(domain.split(".")))
