"""A real SFTP server for tests: asyncssh's, on loopback, in a directory of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh

USER = "backup"
PASSWORD = "p@ss:w/ord%"
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
"""One for all servers, so that a second one on the same port is trusted like the first."""


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._server.client_key is not None and key == self._server.client_key


@dataclass
class SftpServer:
    """An SSH server whose logins start in `directory`, and cannot leave it."""

    directory: Path
    port: int = 0
    client_key: asyncssh.SSHKey | None = None
    """The public key that may log in; the password may always."""
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    """All that were made."""
    failure: asyncssh.SFTPError | None = None
    """What opening a file fails with."""

    @property
    def host_key(self) -> str:
        """The public key by which clients know the server."""
        return " ".join(HOST_KEY.export_public_key().decode().split()[:2])

    def url(self, directory: str = "replica", *, port: int | None = None, options: str = "") -> str:
        """The URL of a replica, through a proxy if `port` is given."""
        query = options or f"host-key={quote(self.host_key)}"
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        return f"sftp://{login}@127.0.0.1:{port or self.port}/{directory}?{query}"

    def cut(self) -> None:
        """Cut all connections."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[SftpServer]:
        """Listen inside a `with` block."""
        server = self

        class Files(asyncssh.SFTPServer):
            def __init__(self, chan: Any) -> None:
                super().__init__(chan, chroot=str(server.directory).encode())

            def open(self, *args: Any) -> Any:
                if server.failure is not None:
                    raise server.failure
                return super().open(*args)

        listener = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_factory=lambda: _Login(self),
            server_host_keys=[HOST_KEY],
            sftp_factory=Files,
        )
        self.port = listener.get_port()
        try:
            yield self
        finally:
            listener.close()
            connections = list(self.connections)
            self.cut()
            await asyncio.gather(*(connection.wait_closed() for connection in connections))
            await listener.wait_closed()
