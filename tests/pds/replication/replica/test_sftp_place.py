"""A replica on an SSH server: logins, keys, connections that end and disks that are full."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import asyncssh
import pytest

from pds.replication import replica
from pds.replication.errors import (
    ReplicaFileMissing,
    ReplicaFull,
    ReplicaRefused,
    ReplicaUnavailable,
)
from pds.replication.replica import sftp_connection
from pds.replication.replica.opening import open_place
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.url import ReplicaUrl
from tests.processes import free_port
from tests.sftp_server import PASSWORD, SftpServer
from tests.small_disk import small_disk
from tests.tcp_proxy import TcpProxy


@pytest.fixture
async def sftp(sftp_server: SftpServer) -> AsyncIterator[ReplicaPlace]:
    place = opened(sftp_server.url())
    yield place
    await place.close()


def opened(url: str) -> ReplicaPlace:
    return open_place(ReplicaUrl.parse(url, environ={}))


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*")}


async def refused(url: str, kind: type[Exception], message: str) -> None:
    place = opened(url)
    try:
        with pytest.raises(kind, match=message) as raised:
            await place.read("a", max_bytes=1)
        assert PASSWORD not in str(raised.value)
    finally:
        await place.close()


async def test_files_are_for_their_user_alone(sftp: ReplicaPlace, sftp_server: SftpServer) -> None:
    await sftp.write("actors/ab/key.age", b"1", timestamp_ms=1_700_000_000_000)
    assert modes(sftp_server.directory) == {
        "replica": 0o700,
        "actors": 0o700,
        "ab": 0o700,
        "key.age": 0o600,
    }
    written = await asyncio.to_thread((sftp_server.directory / "replica/actors/ab/key.age").stat)
    assert written.st_mtime == 1_700_000_000


async def test_unfinished_files_are_not_listed(sftp: ReplicaPlace, sftp_server: SftpServer) -> None:
    await sftp.write("a", b"1")
    for name in (".b.part", "c.ltx.7.9.tmp"):
        (sftp_server.directory / "replica" / name).write_bytes(b"1")
    assert [file.name async for file in sftp.list()] == ["a"]


async def test_one_connection_serves_many_calls(
    sftp: ReplicaPlace, sftp_server: SftpServer
) -> None:
    await asyncio.gather(*(sftp.write(f"blobs/{n}", b"1") for n in range(40)))
    assert len([file async for file in sftp.list()]) == 40
    assert len(sftp_server.connections) == 1


async def test_a_connection_that_ends_is_made_anew(
    sftp: ReplicaPlace, sftp_server: SftpServer
) -> None:
    await sftp.write("a", b"1")
    sftp_server.cut()
    assert await sftp.read("a", max_bytes=1) == b"1"
    assert len(sftp_server.connections) == 1


async def test_many_calls_survive_the_end_of_their_connection(
    sftp: ReplicaPlace, sftp_server: SftpServer
) -> None:
    await sftp.write("a", b"1" * 1000)
    calls = [asyncio.create_task(sftp.read("a", max_bytes=1000)) for _ in range(50)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    sftp_server.cut()
    assert {len(data) for data in await asyncio.gather(*calls)} == {1000}


async def test_a_server_that_restarts_is_found_again(tmp_path: Path) -> None:
    server = SftpServer(tmp_path)
    async with server.running():
        place = opened(server.url())
        await place.write("a", b"1")
    with pytest.raises(ReplicaUnavailable, match="does not answer"):
        await place.read("a", max_bytes=1)
    async with server.running():
        assert await place.read("a", max_bytes=1) == b"1"
        await place.close()


async def test_a_server_that_is_down_is_unavailable(sftp_server: SftpServer) -> None:
    await refused(sftp_server.url(port=free_port()), ReplicaUnavailable, "does not answer")


async def test_a_server_that_falls_silent_is_given_up(
    sftp_server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_connection, "CONNECTING_S", 0.3)
    async with TcpProxy(sftp_server.port).running() as proxy:
        proxy.mode = "stall"
        await refused(sftp_server.url(port=proxy.port), ReplicaUnavailable, "took too long")


async def test_a_call_without_answer_is_given_up_and_the_next_one_works(
    sftp_server: SftpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TcpProxy(sftp_server.port).running() as proxy:
        place = opened(sftp_server.url(port=proxy.port))
        await place.write("a", b"1")
        monkeypatch.setattr(sftp_connection, "CALL_S", 0.2)
        monkeypatch.setattr(sftp_connection, "CONNECTING_S", 0.2)
        proxy.mode = "stall"
        with pytest.raises(ReplicaUnavailable, match="does not answer"):
            await place.read("a", max_bytes=1)
        monkeypatch.undo()
        proxy.mode = "pass"
        assert await place.read("a", max_bytes=1) == b"1"
        await place.close()


async def test_a_wrong_password_is_called_so(sftp_server: SftpServer) -> None:
    url = sftp_server.url().replace(quote(PASSWORD, safe=""), "wrong")
    await refused(url, ReplicaRefused, "refuses the login: correct the user and password")


async def test_a_server_with_another_key_gets_no_password(sftp_server: SftpServer) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    options = f"host-key={quote(' '.join(other.split()[:2]))}"
    await refused(sftp_server.url(options=options), ReplicaRefused, r"\?host-key=")


async def test_a_server_that_nobody_knows_gets_no_password(
    sftp_server: SftpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = sftp_server.url().partition("?")[0]
    await refused(url, ReplicaRefused, "known_hosts")
    known = tmp_path / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"[127.0.0.1]:{sftp_server.port} {sftp_server.host_key}\n")
    await refused(url, ReplicaFileMissing, "there is no file a")


async def test_a_host_key_that_is_none_is_called_so(sftp_server: SftpServer) -> None:
    url = sftp_server.url(options="host-key=ssh-ed25519%20AAAA")
    await refused(url, ReplicaRefused, "is no public key")


async def test_a_private_key_is_as_good_as_a_password(
    sftp_server: SftpServer, tmp_path: Path
) -> None:
    key, path = asyncssh.generate_private_key("ssh-ed25519"), tmp_path / "key"
    key.write_private_key(path)
    login, _, rest = sftp_server.url().partition("@")
    url = f"{login.rpartition(':')[0]}@{rest}&key-path={path}"
    await refused(url, ReplicaRefused, r"\?key-path= name a private key")
    sftp_server.client_key = key.convert_to_public()
    place = opened(url)
    await place.write("a", b"1")
    assert await place.read("a", max_bytes=1) == b"1"
    await place.close()


async def test_a_private_key_that_cannot_be_used_is_called_so(
    sftp_server: SftpServer, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    url = f"{sftp_server.url()}&key-path={path}"
    await refused(url, ReplicaRefused, "cannot be read")
    path.write_text("no key")
    await refused(url, ReplicaRefused, "cannot be read")
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(path, "pkcs8-pem", passphrase="hidden")
    await refused(url, ReplicaRefused, "without a passphrase")


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (asyncssh.SFTPPermissionDenied("no"), ReplicaRefused, "allow this user to read and write"),
        (asyncssh.SFTPFailure("no"), ReplicaUnavailable, "fails: no"),
    ],
)
async def test_what_a_server_says_becomes_an_error_with_a_remedy(
    sftp: ReplicaPlace,
    sftp_server: SftpServer,
    failure: asyncssh.SFTPError,
    kind: type[Exception],
    message: str,
) -> None:
    sftp_server.failure = failure
    for doing in (sftp.write("a", b"1"), sftp.upload("a", Path(__file__))):
        with pytest.raises(kind, match=message):
            await doing
    sftp_server.failure = None
    assert [file.name async for file in sftp.list()] == []


async def test_a_full_disk_is_told_from_other_failures(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=3) as disk:
        async with SftpServer(disk).running() as server:
            place = opened(server.url())
            await place.write("a", b"1")
            with pytest.raises(ReplicaFull, match="make room there"):
                await place.write("a", bytes(5_000_000))
            assert await place.read("a", max_bytes=9) == b"1"
            assert list(modes(disk)) == ["replica", "a"]
            await place.close()


async def test_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sftp_place", "sftp_bridge", "sftp_connection"):
        monkeypatch.delitem(sys.modules, f"pds.replication.replica.{module}", raising=False)
        monkeypatch.delattr(replica, module, raising=False)
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(ReplicaRefused, match=r"pip install 'holdfast-pds\[replication\]'"):
        opened("sftp://u@host/x")
