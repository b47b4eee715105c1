"""`sftp://user@host/directory?key-path=…`: a replica on an SSH server.

The directory is absolute, as in `litestream.yml`; `/~/directory` is below the one where a login
starts. The server is known by `host-key=`, a line such as `ssh-ed25519 AAAA…`, or else by
`~/.ssh/known_hosts`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import SplitResult, quote, unquote

from pds.replication.errors import InvalidReplicaUrl, ReplicaRefused

MOST_DATABASES: Final = 200
"""Registered at a time: each has a connection to the bridge."""
_PORT: Final = 22
_OPTIONS: Final = frozenset({"key-path", "host-key"})
_HOST_KEY: Final = re.compile(r"(ssh-|ecdsa-|sk-)[\w.@-]+ [A-Za-z0-9+/=]+( .*)?")
_SOME_KEY: Final = "ssh-ed25519 AAAA"


@dataclass(slots=True, frozen=True)
class SftpAddress:
    """A directory on an SSH server."""

    host: str
    port: int
    user: str
    directory: str
    """Absolute, or relative to where a login starts; without a slash at its end."""
    password: str | None = field(default=None, repr=False)
    key_path: Path | None = None
    """The private key that the server knows; None for the password or the keys of `~/.ssh`."""
    host_key: str | None = None
    """The server's own key; None to look into `~/.ssh/known_hosts`."""

    @classmethod
    def parse(cls, parts: SplitResult) -> SftpAddress:
        """Read a URL with the scheme `sftp`. Raises `InvalidReplicaUrl`."""
        try:
            port = parts.port or _PORT
        except ValueError:
            raise InvalidReplicaUrl(
                "the port in the URL of an SSH server is none; in a password, write %2F for a /, "
                "%40 for an @, %3A for a : and %23 for a #"
            ) from None
        if not parts.hostname or not parts.username:
            raise InvalidReplicaUrl(
                "the URL of an SSH server has a user and a host: write sftp://user@host/directory"
            )
        directory = _decoded(parts.path, "path").rstrip("/")
        if any(part in {"", ".", ".."} for part in directory.split("/")[1:]) or not directory:
            raise InvalidReplicaUrl(
                "the URL of an SSH server names a directory, without dots or empty parts: "
                "write sftp://user@host/directory"
            )
        options = _parse_options(parts.query)
        key_path = options.get("key-path")
        return cls(
            host=parts.hostname,
            port=port,
            user=_decoded(parts.username, "user"),
            directory=directory.removeprefix("/~/"),
            password=None if parts.password is None else _decoded(parts.password, "password"),
            key_path=None if key_path is None else Path(key_path).expanduser(),
            host_key=options.get("host-key"),
        )

    def for_litestream(self, name: str) -> str:
        """Raise `ReplicaRefused`: Litestream reaches the server through a bridge only.

        By itself it opens a connection for each database, trusts any server with the password,
        and takes no key.
        """
        raise ReplicaRefused(f"{name}: Litestream reaches {self} through `sftp_bridge` only")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORT else f":{self.port}"
        start = "" if self.directory.startswith("/") else "/~/"
        return f"sftp://{quote(self.user)}@{host}{port}{start}{quote(self.directory)}"


@dataclass(slots=True, frozen=True)
class BridgeAddress:
    """The server on loopback through which Litestream reaches an SSH server."""

    USER: ClassVar[str] = "holdfast"
    port: int
    password: str = field(repr=False)

    def for_litestream(self, name: str) -> str:
        """Return the URL by which Litestream reaches a file of the replica."""
        return f"sftp://{self.USER}:{self.password}@127.0.0.1:{self.port}/{quote(name)}"

    def __str__(self) -> str:
        return f"sftp://{self.USER}@127.0.0.1:{self.port}/"


def _decoded(text: str, what: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise InvalidReplicaUrl(f"the {what} in the URL has a % that is none of a code: write %25")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError as exc:
        raise InvalidReplicaUrl(f"the {what} in the replica's URL is not UTF-8") from exc
    if not decoded.isprintable():
        raise InvalidReplicaUrl(f"the {what} in the URL has characters that cannot be seen")
    return decoded


def _parse_options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        # Not parse_qsl: a plus sign is part of a key, not a space.
        name, _, text = pair.partition("=")
        value = _decoded(text, "options")
        if name not in _OPTIONS:
            raise InvalidReplicaUrl(
                f"the option {name!r} of the replica's URL is none of key-path and host-key"
            )
        if name in options or not value:
            raise InvalidReplicaUrl(f"the option {name} of the replica's URL is empty or twice")
        options[name] = value
    if not _HOST_KEY.fullmatch(options.get("host-key", _SOME_KEY)):
        raise InvalidReplicaUrl(
            "the option host-key of the replica's URL is a line of `ssh-keyscan` without the host, "
            "with %20 for the space"
        )
    if not options.get("key-path", "/").startswith(("/", "~/")):
        raise InvalidReplicaUrl("the option key-path of the replica's URL is an absolute path")
    return options
