"""Where a bucket is, and with which credentials and time limits it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

DEFAULT_REGION: Final = "us-east-1"
"""The region of servers that have none, and of AWS where neither settings nor machine name one."""
_REQUEST_TIMEOUT_MS: Final = 10_000


@dataclass(slots=True, frozen=True)
class S3Wording:
    """How messages call a bucket, and what the operator does where S3 refuses it."""

    noun: str
    credentials: str
    bucket: str
    endpoint: str
    region: str
    permissions: str
    other: str


BLOB_STORE_WORDING: Final = S3Wording(
    noun="the blob store",
    credentials="set PDS_BLOBSTORE_S3_ACCESS_KEY_ID and PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY",
    bucket="create it, or set PDS_BLOBSTORE_S3_BUCKET and PDS_BLOBSTORE_S3_ENDPOINT",
    endpoint="set PDS_BLOBSTORE_S3_ENDPOINT to the URL of the S3 server, without the bucket",
    region="set PDS_BLOBSTORE_S3_REGION to the bucket's region",
    permissions="allow this server the actions that docs/s3.md lists",
    other="look at the settings PDS_BLOBSTORE_S3_* and at the log of the S3 server",
)


@dataclass(slots=True, frozen=True)
class S3Location:
    """One bucket of an S3 server."""

    bucket: str
    region: str | None = None
    """None for that of the environment or, without one, us-east-1."""
    endpoint: str | None = None
    """The URL of a server other than AWS, maybe with a port and a path."""
    force_path_style: bool | None = None
    """Put the bucket in the path of URLs; else it is in the host name, if both allow that."""
    access_key_id: str | None = None
    """None to use the credentials of the environment, a profile or the machine's role."""
    secret_access_key: str | None = field(default=None, repr=False)
    upload_timeout_ms: int = 20_000
    """How long storing one part or small object may take, repetitions included."""
    request_timeout_ms: int | None = None
    """How long the server may be silent, or take to accept a connection; None for 10 seconds."""

    verify_tls: bool = True
    """Whether the certificate of the server is checked."""
    wording: S3Wording = field(default=BLOB_STORE_WORDING, repr=False)
    """For messages."""

    @property
    def silence_s(self) -> float:
        """How long the server may be silent before the call is repeated."""
        return (self.request_timeout_ms or _REQUEST_TIMEOUT_MS) / 1000

    @property
    def upload_s(self) -> float:
        """How long storing one part may take, repetitions included."""
        return self.upload_timeout_ms / 1000

    def __str__(self) -> str:
        """The bucket and its server, for messages."""
        return f"{self.bucket} at {self.endpoint or 'AWS'}"
