"""Names known to the machine itself: those in /etc/hosts, and `localhost`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from identity.addresses import is_address
from identity.watched_file import WatchedFile

HOSTS: Final = Path("/etc/hosts")

_LOCALHOST: Final = "localhost"
_LOOPBACK: Final = ("127.0.0.1", "::1")


class HostsFile:
    """Finds addresses without querying name servers."""

    def __init__(self, path: Path = HOSTS) -> None:
        self._file = WatchedFile(path, _parse)

    def find(self, name: str) -> tuple[str, ...]:
        """Return the addresses of `name`; empty if the machine does not know it.

        `localhost` and its subdomains are this machine (RFC 6761, section 6.3).
        """
        name = name.lower().rstrip(".")
        found = self._file.content().get(name, ())
        if not found and (name == _LOCALHOST or name.endswith(f".{_LOCALHOST}")):
            return _LOOPBACK
        return found


def _parse(path: Path) -> Mapping[str, tuple[str, ...]]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if not names or not is_address(address):
            continue
        for name in names:
            known = found.get(name.lower(), ())
            if address not in known:
                found[name.lower()] = (*known, address)
    return found
