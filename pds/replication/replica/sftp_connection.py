"""A connection to an SSH server that is made anew when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncssh

from pds.replication.errors import (
    ReplicaFileMissing,
    ReplicaFull,
    ReplicaRefused,
    ReplicationError,
    ReplicaUnavailable,
)
from pds.replication.replica.sftp_url import SftpAddress

_T = TypeVar("_T")
CALL_S: Final = 30.0
CONNECTING_S: Final = 15.0
_ALIVE_EVERY_S: Final = 10.0
_ALIVE_MISSED: Final = 3
_PAUSES_S: Final = (0.2, 1.0)
"""Before the tries after the first."""
_AT_ONCE: Final = 16


class SftpConnection:
    """SFTP to one server, over one connection."""

    def __init__(self, address: SftpAddress) -> None:
        """Nothing is sent yet."""
        self.address = address
        self._connection: Any = None
        self._sftp: Any = None
        self._opening = asyncio.Lock()
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._closed = False

    async def call(
        self,
        name: str,
        work: Callable[[Any], Awaitable[_T]],
        *,
        large: bool = False,
    ) -> _T:
        """Have `work` use an `asyncssh.SFTPClient`, again after the connection was lost.

        `name` is for messages. What is `large` bounds its own time. Raises errors of a replica
        only, besides `OSError`s of `work`.
        """
        async with self._room:
            for pause_s in (*_PAUSES_S, None):
                sftp = None
                try:
                    async with asyncio.timeout(None if large else CALL_S):
                        sftp = await self._client()
                        return await work(sftp)
                except (asyncssh.Error, ConnectionError, TimeoutError) as exc:
                    lost = _is_lost(exc)
                    # Another call may have made a new connection in the meantime.
                    if lost and sftp is self._sftp:
                        await self._drop()
                    if not lost or pause_s is None:
                        raise self._error(name, exc) from exc
                except ReplicaUnavailable:
                    if pause_s is None:
                        raise
                await asyncio.sleep(pause_s)
        raise AssertionError("the last try raises")

    async def close(self) -> None:
        """Close the connection. May be repeated."""
        self._closed = True
        await self._drop()

    async def _client(self) -> Any:
        if self._sftp is None:
            async with self._opening:
                if self._closed:
                    raise ReplicaRefused(f"the replica at {self.address} is closed")
                if self._sftp is None:
                    await self._open()
        return self._sftp

    async def _open(self) -> None:
        address = self.address
        client_keys = await asyncio.to_thread(_client_keys, address)
        try:
            async with asyncio.timeout(CONNECTING_S):
                connection = await asyncssh.connect(
                    address.host,
                    address.port,
                    username=address.user,
                    password=address.password,
                    known_hosts=_known_hosts(address),
                    client_keys=client_keys,
                    # Only what the URL says: neither ~/.ssh/config nor an agent.
                    config=None,
                    agent_path=None,
                    keepalive_interval=_ALIVE_EVERY_S,
                    keepalive_count_max=_ALIVE_MISSED,
                )
                self._sftp = await connection.start_sftp_client()
                self._connection = connection
        except (OSError, TimeoutError) as exc:
            reason = str(exc) or "it took too long"
            raise ReplicaUnavailable(f"{address} does not answer: {reason}") from exc
        except asyncssh.HostKeyNotVerifiable as exc:
            raise ReplicaRefused(
                f"the host key of {address} is not known ({exc.reason}): compare it, and add it to "
                "~/.ssh/known_hosts of this user or to the URL as ?host-key="
            ) from exc
        except asyncssh.PermissionDenied as exc:
            raise ReplicaRefused(
                f"{address} refuses the login: correct the user and password in the URL, or let "
                "?key-path= name a private key that the server knows"
            ) from exc
        except asyncssh.Error as exc:
            raise ReplicaUnavailable(f"{address} ends the connection: {exc.reason}") from exc

    async def _drop(self) -> None:
        connection, self._connection, self._sftp = self._connection, None, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    def _error(self, name: str, exc: Exception) -> ReplicationError:
        where = f"{name or 'the replica'} at {self.address}"
        if isinstance(exc, TimeoutError | ConnectionError):
            reason = str(exc) or "it took too long"
            return ReplicaUnavailable(f"{self.address} does not answer: {reason}")
        if isinstance(exc, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
            return ReplicaFileMissing(f"there is no file {where}")
        if isinstance(exc, asyncssh.SFTPNoSpaceOnFilesystem | asyncssh.SFTPQuotaExceeded):
            return ReplicaFull(f"the disk of {self.address} is full: make room there")
        if isinstance(exc, asyncssh.SFTPPermissionDenied | asyncssh.SFTPWriteProtect):
            return ReplicaRefused(
                f"{where} cannot be used ({exc}): allow this user to read and write there"
            )
        return ReplicaUnavailable(f"{where} fails: {exc}")


async def replace_file(sftp: Any, old: Any, new: Any) -> None:
    """Rename a file to a name that may be taken."""
    try:
        await sftp.posix_rename(old, new)
    except asyncssh.SFTPOpUnsupported:
        with suppress(asyncssh.SFTPNoSuchFile):
            await sftp.remove(new)
        await sftp.rename(old, new)


def _is_lost(exc: Exception) -> bool:
    """Whether a call failed because of the connection."""
    lost = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, TimeoutError)
    return isinstance(exc, lost) or not isinstance(exc, asyncssh.SFTPError)


def _known_hosts(address: SftpAddress) -> Any:
    if address.host_key is None:
        return ()  # ~/.ssh/known_hosts
    try:
        return ([asyncssh.import_public_key(address.host_key)], [], [])
    except asyncssh.KeyImportError as exc:
        raise ReplicaRefused(f"?host-key= of {address} is no public key: {exc}") from exc


def _client_keys(address: SftpAddress) -> Any:
    if address.key_path is None:
        return () if address.password is None else None  # (): those of ~/.ssh
    try:
        return [asyncssh.read_private_key(address.key_path)]
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as exc:
        raise ReplicaRefused(
            f"the key in ?key-path={address.key_path} cannot be read ({exc}): it must be a private "
            "key without a passphrase, which this user can read"
        ) from exc
