"""The way by which Litestream reaches an SSH server: an SFTP server on loopback that passes on.

By itself, Litestream opens a connection for each database that is registered and never closes it,
hands the password to any server that answers, and takes no private key where databases are
registered while it runs. Through the bridge, everything goes over the one connection of
`SftpConnection`, to a server whose key is known.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncssh

from pds.replication.errors import ReplicaFileMissing, ReplicationError
from pds.replication.replica.sftp_connection import CALL_S, SftpConnection, replace_file
from pds.replication.replica.sftp_url import MOST_DATABASES, BridgeAddress, SftpAddress

_T = TypeVar("_T")
_MAX_CONNECTIONS: Final = MOST_DATABASES + 56
"""The connections beyond, those that were used longest ago, belong to databases that have been
unregistered: Litestream leaves them open."""
_LOGIN_S: Final = 15.0
_MAX_READ_BYTES: Final = 256 * 1024


@asynccontextmanager
async def bridge(address: SftpAddress) -> AsyncIterator[BridgeAddress]:
    """Give the address by which Litestream reaches an SSH server, for a `with` block."""
    remote = SftpConnection(address)
    password = secrets.token_hex(24)
    clients = Clients(_MAX_CONNECTIONS)
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Login(password, clients),
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        sftp_factory=lambda channel: _Files(channel, remote, clients),
        sftp_version=3,
        # The quickest, on loopback.
        kex_algs=["curve25519-sha256"],
        encryption_algs=["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"],
        compression_algs=None,
        login_timeout=_LOGIN_S,
    )
    try:
        yield BridgeAddress(listener.get_port(), password)
    finally:
        listener.close()
        await clients.close()
        await listener.wait_closed()
        await remote.close()


class Clients:
    """The connections of Litestream, that of the latest use last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[Any, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def note(self, connection: Any) -> None:
        """A connection was made or used: end the one that was used longest ago, if too many."""
        self._open[connection] = None
        self._open.move_to_end(connection)
        while len(self._open) > self._most:
            self._open.popitem(last=False)[0].abort()

    def drop(self, connection: Any) -> None:
        """A connection has ended."""
        self._open.pop(connection, None)

    async def close(self) -> None:
        """End all connections."""
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.wait_closed()


class _Login(asyncssh.SSHServer):
    """Lets in who knows the password."""

    def __init__(self, password: str, clients: Clients) -> None:
        self._password = password
        self._clients = clients
        self._connection: Any = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._clients.note(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.drop(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        is_right = secrets.compare_digest(password.encode(), self._password.encode())
        return username == BridgeAddress.USER and is_right


class _Files(asyncssh.SFTPServer):
    """Carries out the requests of one connection on the SSH server."""

    def __init__(self, channel: Any, remote: SftpConnection, clients: Clients) -> None:
        super().__init__(channel)
        self._remote = remote
        self._clients = clients

    def map_path(self, path: bytes) -> bytes:
        """Refuse every request that is not below: asyncssh would serve it from this disk."""
        raise asyncssh.SFTPOpUnsupported("Litestream does not need this")

    async def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        where = self._there(path)
        return await self._call(path, lambda sftp: sftp.open(where, pflags, attrs, encoding=None))

    async def close(self, file_obj: Any) -> None:
        await self._on_file(file_obj.close())

    async def read(self, file_obj: Any, offset: int, size: int) -> bytes:
        return bytes(await self._on_file(file_obj.read(min(size, _MAX_READ_BYTES), offset)))

    async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        await self._on_file(file_obj.write(data, offset))
        return len(data)

    async def fstat(self, file_obj: Any) -> Any:
        return await self._on_file(file_obj.stat())

    async def fsetstat(self, file_obj: Any, attrs: Any) -> None:
        await self._on_file(file_obj.setstat(attrs))

    async def fsync(self, file_obj: Any) -> None:
        await self._on_file(file_obj.fsync())

    async def stat(self, path: bytes) -> Any:
        where = self._there(path)
        return await self._call(path, lambda sftp: sftp.stat(where))

    async def lstat(self, path: bytes) -> Any:
        where = self._there(path)
        return await self._call(path, lambda sftp: sftp.lstat(where))

    async def setstat(self, path: bytes, attrs: Any) -> None:
        where = self._there(path)
        await self._call(path, lambda sftp: sftp.setstat(where, attrs))

    async def scandir(self, path: bytes) -> AsyncIterator[Any]:
        where = self._there(path)

        async def read(sftp: Any) -> list[Any]:
            return [entry async for entry in sftp.scandir(where)]

        for entry in await self._call(path, read):
            yield entry

    async def mkdir(self, path: bytes, attrs: Any) -> None:
        # With those above: Litestream takes the root of the bridge for one that exists.
        where = self._there(path)
        await self._call(path, lambda sftp: sftp.makedirs(where, attrs, exist_ok=True))

    async def rmdir(self, path: bytes) -> None:
        where = self._there(path)
        await self._call(path, lambda sftp: sftp.rmdir(where))

    async def remove(self, path: bytes) -> None:
        where = self._there(path)
        await self._call(path, lambda sftp: sftp.remove(where))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        # A second upload of an LTX file replaces the first, which SFTP's own rename refuses.
        old, new = self._there(oldpath), self._there(newpath)
        await self._call(newpath, lambda sftp: replace_file(sftp, old, new))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        await self.rename(oldpath, newpath)

    def realpath(self, path: bytes) -> bytes:
        return b"/" + b"/".join(_parts(path))

    def _there(self, path: bytes) -> bytes:
        """Return the path of a file on the SSH server."""
        return b"/".join((self._remote.address.directory.encode(), *_parts(path)))

    async def _call(self, path: bytes, work: Callable[[Any], Awaitable[_T]]) -> _T:
        self._clients.note(self.connection)
        try:
            return await self._remote.call(path.decode(errors="replace"), work)
        except ReplicaFileMissing as exc:
            raise asyncssh.SFTPNoSuchFile(str(exc)) from exc
        except (ReplicationError, OSError) as exc:
            raise asyncssh.SFTPFailure(str(exc)) from exc

    async def _on_file(self, doing: Awaitable[_T]) -> _T:
        """Work on an open file, which a new connection to the SSH server would not have."""
        self._clients.note(self.connection)
        try:
            async with asyncio.timeout(CALL_S):
                return await doing
        except asyncssh.SFTPError:
            raise
        except (asyncssh.Error, TimeoutError, OSError) as exc:
            raise asyncssh.SFTPFailure(f"the SSH server does not answer: {exc}") from exc


def _parts(path: bytes) -> list[bytes]:
    parts = [part for part in path.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise asyncssh.SFTPPermissionDenied("no way leads up")
    return parts
