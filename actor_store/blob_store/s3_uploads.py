"""Multipart uploads: an object that arrives in parts, and appears when they are joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from actor_store.blob_store.base import BlobUploadMissing
from actor_store.blob_store.s3_client import JOINING_S, LISTED_AT_ONCE, S3Client
from actor_store.blob_store.s3_completion import completion_body
from actor_store.blob_store.s3_objects import ObjectInfo, S3Part, UnfinishedUpload

MIN_PART_BYTES: Final = 5 * 1024 * 1024
"""Every part but the last has at least this many bytes."""
MAX_PARTS: Final = 10_000


class S3Uploads:
    """The multipart uploads of one bucket.

    Each method may raise `BlobStoreUnavailable`, `BlobStoreFull` and `BlobStoreMisconfigured`.
    """

    def __init__(
        self, client: S3Client, head: Callable[[str], Awaitable[ObjectInfo | None]]
    ) -> None:
        """`head` finds an object by its key."""
        self._client = client
        self._head = head
        self._location = client.location

    async def create(self, key: str, *, more: Mapping[str, Any] | None = None) -> str:
        """Begin an upload, and return its id. The object appears with `complete`.

        `more` has parameters of CreateMultipartUpload, such as `Metadata`.
        """
        async with self._client.calling() as calls:
            answer = await calls.create_multipart_upload(**self._named(key), **(more or {}))
        return str(answer["UploadId"])

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> S3Part:
        """Store one part; a second of the same number replaces it. Raises `BlobUploadMissing`."""
        async with self._client.calling(timeout_s=self._location.upload_s) as calls:
            answer = await calls.upload_part(
                **self._named(key, upload_id), PartNumber=number, Body=data
            )
        return S3Part(number, str(answer["ETag"]), len(data))

    async def copy_part(
        self, key: str, upload_id: str, number: int, *, source: str, start: int, end: int
    ) -> S3Part:
        """Make a part of the bytes from `start` to before `end` of another object."""
        async with self._client.calling(timeout_s=JOINING_S) as calls:
            answer = await calls.upload_part_copy(
                **self._named(key, upload_id),
                PartNumber=number,
                CopySource={"Bucket": self._location.bucket, "Key": source},
                CopySourceRange=f"bytes={start}-{end - 1}",
            )
        return S3Part(number, str(answer["CopyPartResult"]["ETag"]), end - start)

    async def complete(self, key: str, upload_id: str, parts: Iterable[S3Part]) -> None:
        """Join the parts, in order of their numbers, to the object.

        Raises `BlobUploadMissing` and `BlobPartsRefused`. After `BlobStoreUnavailable` the object
        may be there: an answer can be lost.
        """
        chosen = sorted(parts, key=lambda part: part.number)
        try:
            with completion_body(_named_in_xml(chosen)):
                async with self._client.calling(timeout_s=JOINING_S) as calls:
                    await calls.complete_multipart_upload(**self._named(key, upload_id))
        except BlobUploadMissing:
            # The first of several tries may have worked, with its answer lost.
            found = await self._head(key)
            if found is None or found.size != sum(part.size for part in chosen):
                raise

    async def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts. Raises `BlobUploadMissing`."""
        async with self._client.calling() as calls:
            await calls.abort_multipart_upload(**self._named(key, upload_id))

    async def list_parts(self, key: str, upload_id: str) -> list[S3Part]:
        """Return what has been uploaded, by number. Raises `BlobUploadMissing`."""
        parts: list[S3Part] = []
        more: dict[str, Any] = {}
        while True:
            async with self._client.calling() as calls:
                answer = await calls.list_parts(
                    **self._named(key, upload_id), MaxParts=LISTED_AT_ONCE, **more
                )
            found = answer.get("Parts", ())
            parts += (S3Part(part["PartNumber"], part["ETag"], part["Size"]) for part in found)
            if not answer.get("IsTruncated") or not found:
                return parts
            more = {"PartNumberMarker": found[-1]["PartNumber"]}

    async def list(self, prefix: str) -> AsyncIterator[UnfinishedUpload]:
        """Iterate over the unfinished uploads of keys with a prefix."""
        more: dict[str, str] = {}
        while True:
            async with self._client.calling() as calls:
                answer = await calls.list_multipart_uploads(
                    Bucket=self._location.bucket,
                    Prefix=prefix,
                    MaxUploads=LISTED_AT_ONCE,
                    **more,
                )
            found = answer.get("Uploads", ())
            for one in found:
                yield UnfinishedUpload(one["Key"], one["UploadId"], one["Initiated"].timestamp())
            if not answer.get("IsTruncated") or not found:
                return
            more = {"KeyMarker": found[-1]["Key"], "UploadIdMarker": found[-1]["UploadId"]}

    def _named(self, key: str, upload_id: str | None = None) -> dict[str, str]:
        names = {"Bucket": self._location.bucket, "Key": key}
        return names if upload_id is None else {**names, "UploadId": upload_id}


def _named_in_xml(parts: Iterable[S3Part]) -> bytes:
    """Return what S3 wants to know of the parts, in the order in which they are to be joined."""
    named = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber>"
        f'<ETag>"{escape(part.etag.strip(chr(34)))}"</ETag></Part>'
        for part in parts
    )
    root = "CompleteMultipartUpload"
    return f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{named}</{root}>'.encode()
