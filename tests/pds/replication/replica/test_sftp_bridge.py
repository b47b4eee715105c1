"""The bridge by which Litestream reaches an SSH server: who may use it, and what it passes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from pds.replication.replica.opening import open_place, way_for_litestream
from pds.replication.replica.sftp_bridge import Clients, bridge
from pds.replication.replica.sftp_url import BridgeAddress, SftpAddress
from pds.replication.replica.url import ReplicaUrl
from tests.pds.replication.litestream.daemons import replicate_once, running
from tests.sftp_server import SftpServer

LTX = "account.sqlite/ltx/0/0000000000000001-0000000000000001.ltx"


def address_of(server: SftpServer) -> SftpAddress:
    address = ReplicaUrl.parse(server.url()).address
    assert isinstance(address, SftpAddress)
    return address


@asynccontextmanager
async def client_of(address: BridgeAddress, **changes: Any) -> AsyncIterator[asyncssh.SFTPClient]:
    """An SFTP client that logs in as Litestream does."""
    login: dict[str, Any] = {
        "username": BridgeAddress.USER,
        "password": address.password,
        "known_hosts": None,
        "client_keys": None,
        "config": None,
        **changes,
    }
    async with (
        asyncssh.connect("127.0.0.1", address.port, **login) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


@pytest.fixture
async def address(sftp_server: SftpServer) -> AsyncIterator[BridgeAddress]:
    async with bridge(address_of(sftp_server)) as address:
        yield address


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"password": ""}, {"username": "root"}])
async def test_only_who_knows_the_password_may_use_it(
    address: BridgeAddress, changes: dict[str, str]
) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        async with client_of(address, **changes):
            pass


async def test_it_gives_no_shell_and_no_way_to_other_hosts(address: BridgeAddress) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        address.port,
        username=BridgeAddress.USER,
        password=address.password,
        known_hosts=None,
        client_keys=None,
        config=None,
    ) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("echo hello")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", address.port)


async def test_everything_happens_below_the_directory_of_the_replica(
    address: BridgeAddress, sftp_server: SftpServer
) -> None:
    (sftp_server.directory / "secret").write_bytes(b"1")
    async with client_of(address) as sftp:
        for path in ("../secret", "a/../../secret", "/../secret"):
            with pytest.raises(asyncssh.SFTPError):
                await sftp.stat(path)
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.stat("/etc/passwd")
        await sftp.makedirs("/etc")
        for doing in (
            sftp.symlink("/etc", "link"),
            sftp.readlink("link"),
            sftp.statvfs("/"),
            sftp.link("/etc/passwd", "copy"),
        ):
            with pytest.raises(asyncssh.SFTPError):
                await doing
    assert [path.name for path in (sftp_server.directory / "replica").iterdir()] == ["etc"]


async def test_a_second_upload_replaces_the_first(
    address: BridgeAddress, sftp_server: SftpServer
) -> None:
    async with client_of(address) as sftp:
        for data in (b"first", b"second"):
            await sftp.makedirs("a/ltx/0", exist_ok=True)
            async with sftp.open("a/ltx/0/x.tmp", "wb") as file:
                await file.write(data)
            await sftp.utime("a/ltx/0/x.tmp", (5, 5))
            await sftp.rename("a/ltx/0/x.tmp", "a/ltx/0/x")
        assert [entry.filename for entry in await sftp.readdir("a/ltx/0")][-1] == "x"
        await sftp.remove("a/ltx/0/x")
        await sftp.rmdir("a/ltx/0")
        assert await sftp.listdir("a/ltx") == [".", ".."]


async def test_all_databases_share_one_connection_to_the_server(
    sftp_server: SftpServer, tmp_path: Path
) -> None:
    url = ReplicaUrl.parse(sftp_server.url())
    async with (
        way_for_litestream(url) as way,
        running() as daemon,
    ):
        for number in range(5):
            name = f"db-{number}.sqlite"
            await replicate_once(daemon, tmp_path / name, way.for_litestream(name))
    assert len(sftp_server.connections) == 1
    place = open_place(url)
    names = [file.name async for file in place.list()]
    assert names == [f"db-{n}.sqlite/ltx/0/{LTX.rpartition('/')[2]}" for n in range(5)]
    await place.close()


async def test_litestream_goes_on_after_the_server_was_away(
    sftp_server: SftpServer, tmp_path: Path
) -> None:
    url = ReplicaUrl.parse(sftp_server.url())
    async with (
        way_for_litestream(url) as way,
        running() as daemon,
    ):
        path, url_of_it = tmp_path / "account.sqlite", way.for_litestream("account.sqlite")
        await replicate_once(daemon, path, url_of_it)
        sftp_server.cut()
        await replicate_once(daemon, path, url_of_it)
    place = open_place(url)
    assert len([file async for file in place.list("account.sqlite/ltx/0/")]) == 2
    await place.close()


async def test_an_open_file_does_not_outlive_the_connection_to_the_server(
    address: BridgeAddress, sftp_server: SftpServer
) -> None:
    async with client_of(address) as sftp:
        await sftp.mkdir("a")
        file = await sftp.open("a/x", "wb")
        await file.write(b"1")
        sftp_server.cut()
        with pytest.raises(asyncssh.SFTPError):
            await file.write(b"2")
        async with sftp.open("a/y", "wb") as other:
            await other.write(b"3")
        assert await sftp.getsize("a/y") == 1


async def test_a_server_that_is_down_fails_the_request_and_not_the_bridge(
    tmp_path: Path,
) -> None:
    server = SftpServer(tmp_path)
    async with server.running():
        pass
    async with bridge(address_of(server)) as address, client_of(address) as sftp:
        with pytest.raises(asyncssh.SFTPFailure, match="does not answer"):
            await sftp.stat("a")
        async with server.running():
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.stat("a")


class Connection:
    is_open = True

    def abort(self) -> None:
        self.is_open = False


def test_the_connections_that_were_used_longest_ago_are_ended() -> None:
    clients, connections = Clients(3), [Connection() for _ in range(5)]
    for connection in connections[:3]:
        clients.note(connection)
    clients.note(connections[0])
    clients.note(connections[3])
    clients.drop(connections[2])
    clients.note(connections[4])
    assert len(clients) == 3
    assert [connection.is_open for connection in connections] == [True, False, True, True, True]


async def test_other_places_need_no_bridge(tmp_path: Path) -> None:
    url = ReplicaUrl.parse(f"file://{tmp_path}")
    async with way_for_litestream(url) as way:
        assert way is url
