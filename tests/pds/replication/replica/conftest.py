"""The three places of a replica, real ones, and what the tests of each need to make trouble."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from pds.replication.replica.opening import open_place
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.url import ReplicaUrl
from tests.seaweedfs import SeaweedFs
from tests.sftp_server import SftpServer

KINDS = ("file", "s3", "sftp")


def s3_url(
    server: SeaweedFs, bucket: str, *, port: int | None = None, prefix: str = "a b/ü"
) -> str:
    """The URL of a replica in a bucket, through a proxy if `port` is given."""
    endpoint = f"http://127.0.0.1:{port or server.port}"
    return f"s3://{bucket}/{quote(prefix)}?endpoint={endpoint}"


def s3_environ(server: SeaweedFs) -> dict[str, str]:
    """The credentials of a server, as Litestream knows them."""
    return {
        "AWS_ACCESS_KEY_ID": server.access_key_id,
        "LITESTREAM_SECRET_ACCESS_KEY": server.secret_access_key,
    }


@pytest.fixture
async def sftp_server(tmp_path: Path) -> AsyncIterator[SftpServer]:
    """An SFTP server."""
    async with running_sftp_server(tmp_path) as server:
        yield server


@asynccontextmanager
async def running_sftp_server(tmp_path: Path) -> AsyncIterator[SftpServer]:
    """An SFTP server for a `with` block."""
    directory = tmp_path / "sftp"
    directory.mkdir()
    async with SftpServer(directory).running() as server:
        yield server


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReplicaPlace]:
    """An empty place of each kind."""
    environ: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        if request.param == "file":
            root = tmp_path / "replica"
            root.mkdir()
            text = f"file://{root}"
        elif request.param == "s3":
            server: SeaweedFs = request.getfixturevalue("seaweedfs")
            text = s3_url(server, (await server.create_bucket()).bucket)
            environ = s3_environ(server)
        else:
            ssh = await stack.enter_async_context(running_sftp_server(tmp_path))
            text = ssh.url("some/replica")
        opened = open_place(ReplicaUrl.parse(text, environ=environ), environ=environ)
        stack.push_async_callback(opened.close)
        yield opened
