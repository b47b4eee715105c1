"""Links with which a client fetches one blob from the bucket, or through a CDN, itself."""

from __future__ import annotations

from typing import Final

from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from repo.cid import Cid

EXPIRES_S: Final = 300
"""A blob that is taken down can be fetched for this long by those who have a link already."""


class BlobLinks:
    """Makes links to permanent blobs."""

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket

    async def find(
        self, did: str, cid: Cid, *, method: str, content_type: str, disposition: str
    ) -> str | None:
        """Return a link for `GET` or `HEAD`; None if the bucket does not have the blob.

        The answer that it leads to has the type and disposition given here, whatever the object's.
        """
        key = S3BlobStore.key(did, cid)
        if await self._bucket.head(key) is None:
            return None
        return await self._bucket.presign_download(
            key,
            method=method,
            expires_s=EXPIRES_S,
            query={
                "response-content-type": content_type,
                "response-content-disposition": disposition,
            },
        )
