"""Opening the place that a URL names."""

from __future__ import annotations

import os
from collections.abc import Mapping

from actor_store.blob_store.s3_bucket import S3Bucket
from pds.replication.errors import ReplicaRefused
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.file_url import FileAddress
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.s3_place import S3Place
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.sftp_place import SftpPlace
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
        return S3Place(S3Bucket(address.location(environ)), prefix=address.prefix)
    if isinstance(address, SftpAddress):
        return SftpPlace(address)
    raise ReplicaRefused(f"{url} is for Litestream alone")
