"""The connection to an S3 server: aiobotocore's client, with bounds on time, tries and sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any, Final

from actor_store.blob_store.base import (
    BlobStoreError,
    BlobStoreFull,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
)
from actor_store.blob_store.s3_completion import take_completion_bodies
from actor_store.blob_store.s3_errors import blob_store_errors
from actor_store.blob_store.s3_location import DEFAULT_REGION, S3Location

MAX_STREAMS: Final = 256
"""Objects read at a time, as many as the server sends at a time (`pds.fairness.streams`)."""
CALL_S: Final = 30.0
"""How long a call may take that carries no bytes, repetitions included."""
JOINING_S: Final = 120.0
"""Joining many parts takes some servers a while."""
LISTED_AT_ONCE: Final = 300
"""S3 would list 1000, but parsing the XML of so many takes the event loop 70 ms."""
_OTHER_CONNECTIONS: Final = 64
"""Slow readers leave these for everything else."""
_TRIES: Final = 4
"""The last begins about four seconds after the first, if each fails at once."""
_CONNECT_S: Final = 5.0
_LOG_EVERY_S: Final = 10.0

logger = logging.getLogger(__name__)


class S3Client:
    """A client for one bucket's server, with the session that knows its credentials.

    It is made at its first use, which sends nothing: so a server starts although S3 is down.
    """

    def __init__(self, location: S3Location, *, logs_failures: bool = True) -> None:
        self.location = location
        self._logs_failures = logs_failures
        self._session: Any = None
        self._calls: Any = None
        self._opening = asyncio.Lock()
        self._closed = False
        self._quiet_until = 0.0
        self._stack = AsyncExitStack()

    async def calls(self) -> Any:
        """Return the client, which has a coroutine for each action of S3."""
        if self._calls is None:
            async with self._opening:
                if self._closed:
                    raise BlobStoreUnavailable(f"{self.location.wording.noun} is closed")
                if self._calls is None:
                    self._calls = await self._open()
        return self._calls

    async def credentials(self) -> Any:
        """Return the credentials that hold now, renewed if they end soon; None without any."""
        await self.calls()
        found = None if self._session is None else await self._session.get_credentials()
        return None if found is None else await found.get_frozen_credentials()

    @asynccontextmanager
    async def calling(self, *, timeout_s: float = CALL_S) -> AsyncIterator[Any]:
        """Give the client to a `with` block, bound its time, and raise `BlobStoreError`s only."""
        try:
            async with blob_store_errors(self.location, timeout_s=timeout_s):
                yield await self.calls()
        except (BlobStoreUnavailable, BlobStoreFull, BlobStoreMisconfigured) as exc:
            self._note(exc)
            raise

    async def close(self) -> None:
        """Close all connections. May be repeated."""
        async with self._opening:
            self._closed, self._calls = True, None
            await self._stack.aclose()

    def _note(self, exc: BlobStoreError) -> None:
        """Log what the operator should know, though not for each of many requests."""
        now = time.monotonic()
        if self._logs_failures and now >= self._quiet_until:
            self._quiet_until = now + _LOG_EVERY_S
            logger.warning("%s", exc)

    async def _open(self) -> Any:
        location = self.location
        session, config, add_expect_header = await asyncio.to_thread(_load, location)
        self._session = session
        if location.access_key_id is not None:
            session.set_credentials(location.access_key_id, location.secret_access_key)
        region = location.region or session.get_config_variable("region") or DEFAULT_REGION
        calls = await self._stack.enter_async_context(
            session.create_client(
                "s3",
                region_name=region,
                endpoint_url=location.endpoint,
                verify=None if location.verify_tls else False,
                config=config,
            )
        )
        # With it, the HTTP client would wait for ever for a server that does not ask for the body.
        calls.meta.events.unregister("before-call.s3", add_expect_header)
        take_completion_bodies(calls)
        return calls


def _load(location: S3Location) -> tuple[Any, Any, Any]:
    """Return a session, the configuration of a client, and the handler that it does without."""
    # Here, because it takes 0.2 s and 18 MB, which a server with its blobs on disk saves.
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session
    from botocore.handlers import add_expect_header

    addressing = "path" if location.force_path_style else "virtual"
    is_plain = location.endpoint is not None and location.endpoint.startswith("http://")
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=min(_CONNECT_S, location.silence_s),
        read_timeout=location.silence_s,
        max_pool_connections=MAX_STREAMS + _OTHER_CONNECTIONS,
        # `standard` repeats after 5xx, SlowDown, lost connections and silence, with growing pauses,
        # and rarely while most calls fail.
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        # Where TLS protects the bytes, hashing them for the signature as well would be wasted work.
        s3={"addressing_style": addressing, "payload_signing_enabled": is_plain},
        # Servers other than AWS's often know no checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # The descriptions of the service are megabytes of JSON: they are read in a thread.
        warm_up_loader_caches=True,
    )
    session = get_session()
    session.register_component("data_loader", _descriptions())
    return session, config, add_expect_header


@cache
def _descriptions() -> Any:
    """Return what reads the descriptions of services, and remembers them.

    One for all clients: reading them takes 0.13 s and 18 MB.
    """
    from aiobotocore.session import get_session

    return get_session().get_component("data_loader")
