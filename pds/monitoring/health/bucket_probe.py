"""The probe of the bucket of blobs, which is on another server."""

from __future__ import annotations

from typing import Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_errors import explain
from pds.monitoring.health.probes import Failure

_PATIENCE_S: Final = 2.5
"""Less than the patience of the whole check, so that the reason is reported."""


class BucketProbe:
    """Checks that the bucket exists and lets this server list it."""

    def __init__(self, check: str, bucket: S3Bucket) -> None:
        self._check = check
        self._bucket = bucket

    async def failures(self) -> tuple[Failure, ...]:
        """Ask for the bucket."""
        try:
            await self._bucket.check(timeout_s=_PATIENCE_S)
        except BlobStoreError as exc:
            return (Failure(self._check, *explain(exc)),)
        return ()
