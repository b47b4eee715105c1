"""The variables of the environment that a Litestream daemon gets: none of the server's secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_KEPT: Final = frozenset(
    (
        *("HOME", "PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH"),
        # How it reaches the replica, and whom it trusts there.
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        # How much memory and how many cores it takes.
        *("GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT"),
    )
)
_KEPT_PREFIXES: Final = ("AWS_", "LITESTREAM_")
"""Credentials, regions and profiles."""
_AUTHORITIES: Final = "AWS_CA_BUNDLE"
"""The certificates that Amazon's libraries trust. Litestream's client fails where it is set, but
takes those that Go trusts."""
_AUTHORITIES_OF_GO: Final = "SSL_CERT_FILE"


def daemon_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a daemon needs of `environ`."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEPT
        or name.startswith(_KEPT_PREFIXES)
        # Proxies are often given in small letters.
        or (name.endswith("_proxy") and name.upper() in _KEPT)
    }
    authorities = kept.pop(_AUTHORITIES, "")
    if authorities:
        kept[_AUTHORITIES_OF_GO] = authorities
    return kept
