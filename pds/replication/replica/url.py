"""The URL of a replica, as an operator writes it, and as Litestream is told it.

Litestream and `ReplicaPlace` reach the same files by different programs, which read URLs by
different rules. A URL is parsed here once, by the stricter of both; what Litestream would take for
another place is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from pds.replication.errors import InvalidReplicaUrl
from pds.replication.replica.file_url import FileAddress
from pds.replication.replica.names import checked_name
from pds.replication.replica.s3_url import S3Address
from pds.replication.replica.sftp_url import MOST_DATABASES, BridgeAddress, SftpAddress

_MAX_LENGTH: Final = 4096
_FORMS: Final = (
    "write file:///directory, s3://bucket/prefix?endpoint=https://server&region=name, "
    "or sftp://user@host/directory"
)
_RCLONE: Final = "serve it with `rclone serve s3` and write s3://, or mount it and write file://"
_REFUSED: Final[Mapping[str, str]] = {
    "gs": (
        "write s3://bucket/prefix?endpoint=https://storage.googleapis.com, with an HMAC key "
        "of the bucket as LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY"
    ),
    "oss": "write s3://bucket/prefix?endpoint=https://s3.oss-<region>.aliyuncs.com"
    "&force-path-style=false",
    "abs": _RCLONE,
    "webdav": _RCLONE,
    "webdavs": _RCLONE,
    "nats": _RCLONE,
    "http": "write s3://bucket/prefix?endpoint=http://server",
    "https": "write s3://bucket/prefix?endpoint=https://server",
}


class Address(Protocol):
    """Where a replica is, for one kind of place. Its text and `repr` show no secret."""

    def for_litestream(self, name: str) -> str:
        """Return the URL by which Litestream reaches a file of the replica."""
        ...


@dataclass(slots=True, frozen=True)
class ReplicaUrl:
    """Where a replica is. Its text is a URL without secrets, for messages and logs."""

    address: Address
    """A `FileAddress`, `S3Address` or `SftpAddress`; or a `BridgeAddress` for Litestream."""

    @classmethod
    def parse(cls, text: str, *, environ: Mapping[str, str] = os.environ) -> ReplicaUrl:
        """Parse the URL of a whole replica. Raises `InvalidReplicaUrl`.

        `environ` may name the S3 server, as Litestream allows.
        """
        if len(text) > _MAX_LENGTH or not text.isprintable():
            raise InvalidReplicaUrl(
                f"the URL of a replica is one line of at most {_MAX_LENGTH} characters"
            )
        try:
            parts = urlsplit(text)
        except ValueError:
            # Without the reason, here and elsewhere: it may quote a password.
            raise InvalidReplicaUrl(f"the URL of the replica is none: {_FORMS}") from None
        return cls(_address(parts, text, environ))

    def for_litestream(self, name: str) -> str:
        """Return the replica_url of a database, such as `names.actor_database(did)`.

        It may hold the password of a bridge. Raises `ReplicaRefused` for a name that is none.
        """
        return self.address.for_litestream(checked_name(name))

    @property
    def most_databases(self) -> int | None:
        """How many Litestream may have registered there at a time; None for any number."""
        is_ssh = isinstance(self.address, SftpAddress | BridgeAddress)
        return MOST_DATABASES if is_ssh else None

    def __str__(self) -> str:
        return str(self.address)


def _address(parts: SplitResult, text: str, environ: Mapping[str, str]) -> Address:
    if "#" in text:
        raise InvalidReplicaUrl("the URL of the replica has a #: write %23")
    if parts.scheme == "file":
        return FileAddress.parse(parts, text)
    if parts.scheme == "s3":
        return S3Address.parse(parts, environ)
    if parts.scheme == "sftp":
        return SftpAddress.parse(parts)
    if parts.scheme in _REFUSED:
        raise InvalidReplicaUrl(
            f"{parts.scheme}:// is no place for a replica: {_REFUSED[parts.scheme]}"
        )
    raise InvalidReplicaUrl(f"the URL of the replica is of no kind that is known: {_FORMS}")
