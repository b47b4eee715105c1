"""Opening the place that a URL names, and the way there for Litestream."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from actor_store.blob_store.s3_bucket import S3Bucket
from pds.replication.errors import ReplicaRefused
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.file_url import FileAddress
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.s3_place import S3Place
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.sftp_url import SftpAddress
from pds.replication.replica.url import ReplicaUrl


def open_place(url: ReplicaUrl, *, environ: Mapping[str, str] = os.environ) -> ReplicaPlace:
    """Return the place of a replica; nothing is sent yet, so it may be down. Close it afterwards.

    `environ` has the credentials of S3, by the names that Litestream knows. Raises
    `ReplicaRefused` where the library that speaks with the place is not installed.
    """
    address = url.address
    if isinstance(address, FileAddress):
        return FilePlace(address.root)
    if isinstance(address, S3Address):
        bucket = S3Bucket(address.location(environ), logs_failures=False)
        return S3Place(bucket, prefix=address.prefix)
    if isinstance(address, SftpAddress):
        _, place = _sftp()
        opened: ReplicaPlace = place.SftpPlace(address)
        return opened
    raise ReplicaRefused(f"{url} is for Litestream alone")


@asynccontextmanager
async def way_for_litestream(url: ReplicaUrl) -> AsyncIterator[ReplicaUrl]:
    """Give the URL whose `for_litestream` names databases to Litestream, for a `with` block.

    It is `url` itself, but for an SSH server that of a bridge: see `sftp_bridge`. Raises
    `ReplicaRefused` as `open_place` does.
    """
    if isinstance(url.address, SftpAddress):
        bridge, _ = _sftp()
        async with bridge.bridge(url.address) as address:
            yield ReplicaUrl(address)
    else:
        yield url


def _sftp() -> tuple[Any, Any]:
    """Return the modules that need asyncssh, which takes 0.15 s and 11 MB."""
    try:
        from pds.replication.replica import sftp_bridge, sftp_place
    except ModuleNotFoundError as exc:
        if exc.name != "asyncssh":
            raise
        raise ReplicaRefused(
            "asyncssh is missing, which sftp:// needs: pip install 'holdfast-pds[replication]'"
        ) from exc
    return sftp_bridge, sftp_place
