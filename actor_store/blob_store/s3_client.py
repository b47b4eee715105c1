"""The connection to an S3 server: aiobotocore's client, with bounds on time, tries and sockets."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session

from actor_store.blob_store.s3_location import DEFAULT_REGION, S3Location

MAX_STREAMS: Final = 256
"""Objects read at a time, as many as the server sends at a time (`pds.fairness.streams`)."""
_OTHER_CONNECTIONS: Final = 64
"""Slow readers leave these for everything else."""
_TRIES: Final = 4
"""Of which the last begins about four seconds after the first failed at once."""
_CONNECT_S: Final = 5.0


class S3Client:
    """A client for one bucket's server, with the session that knows its credentials."""

    def __init__(self, location: S3Location) -> None:
        self.location = location
        self.session: AioSession = get_session()
        if location.access_key_id is not None:
            self.session.set_credentials(location.access_key_id, location.secret_access_key)
        self.region: str = (
            location.region or self.session.get_config_variable("region") or DEFAULT_REGION
        )
        self.calls: Any = None
        """The client, which has a coroutine for each action of S3."""
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Make the client; nothing is sent to the server yet."""
        self.calls = await self._stack.enter_async_context(
            self.session.create_client(
                "s3",
                region_name=self.region,
                endpoint_url=self.location.endpoint,
                config=_config(self.location),
            )
        )

    async def close(self) -> None:
        """Close all connections. May be repeated."""
        await self._stack.aclose()


def _config(location: S3Location) -> AioConfig:
    return AioConfig(
        signature_version="s3v4",
        connect_timeout=min(_CONNECT_S, location.silence_s),
        read_timeout=location.silence_s,
        max_pool_connections=MAX_STREAMS + _OTHER_CONNECTIONS,
        # `standard` repeats after 5xx, SlowDown, lost connections and silence, ever later, and
        # seldom where most calls fail.
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        s3={"addressing_style": "path" if location.force_path_style else "virtual"},
        # Servers other than AWS's often know no checksums. SHA-256 and TLS protect the bytes.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The descriptions of the service are megabytes of JSON: they are read in a thread.
        warm_up_loader_caches=True,
    )
