"""Where a bucket is, and with which credentials and time limits it is used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

DEFAULT_REGION: Final = "us-east-1"
"""The region of servers that have none, and of AWS where neither settings nor machine name one."""
_REQUEST_TIMEOUT_MS: Final = 10_000


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
