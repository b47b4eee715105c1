"""What `pds hold init` asks the network: the DID of a handle, and whether S3 works."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from actor_store.blob_store.base import BlobStoreError, BlobStoreMisconfigured
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_objects import S3Part
from pds.cli.failures import CommandFailed
from pds.monitoring.logs import configure_logs
from repo.syntax import InvalidSyntax, normalize_handle, parse_did

if TYPE_CHECKING:
    from pds.config import Settings

_PROBE: Final = b"written by pds hold init, which deletes it again"
_TIMEOUT_S: Final = 10.0
_EXPIRES_S: Final = 60


def resolve_owner(text: str) -> str:
    """Return the DID that the operator names, or that of a handle. Raises `CommandFailed`."""
    try:
        if text.startswith("did:"):
            return parse_did(text)
        handle = normalize_handle(text.removeprefix("@"))
    except InvalidSyntax as exc:
        raise CommandFailed(
            f"{text} is neither a DID nor a handle: give one such as did:plc:… or "
            "alice.example.com."
        ) from exc
    return asyncio.run(_resolve(handle))


async def _resolve(handle: str) -> str:
    from identity.handles import HandleResolver, HandleUnresolvable
    from identity.http import SafeHttp

    async with SafeHttp() as http:
        try:
            did = await HandleResolver(http).resolve(normalize_handle(handle))
        except HandleUnresolvable as exc:
            raise CommandFailed(f"{exc}. Give the owner's DID instead.") from exc
    if did is None:
        raise CommandFailed(
            f"The handle {handle} leads to no DID: _atproto.{handle} has no TXT record, and "
            f"https://{handle}/.well-known/atproto-did has none. Give the owner's DID instead."
        )
    return did


def check_s3(settings: Settings) -> None:
    """Do with the bucket what clients of a hold do. Raises `CommandFailed` with what fails."""
    # The message has what the bucket would log.
    configure_logs(level="error")
    try:
        asyncio.run(_try_bucket(settings))
    except BlobStoreMisconfigured as exc:
        raise CommandFailed(f"S3 does not work: {exc}") from exc
    except BlobStoreError as exc:
        raise CommandFailed(
            f"S3 does not work: {exc}. Check the settings PDS_BLOBSTORE_S3_…"
        ) from exc


async def _try_bucket(settings: Settings) -> None:
    from pds.opening import bucket_location

    location = bucket_location(settings)
    if location is None:
        return
    bucket, key = S3Bucket(location), f"{settings.hold.s3_prefix}check-{secrets.token_hex(8)}"
    try:
        await bucket.check()
        upload_id = await bucket.uploads.create(key)
        try:
            etag = await _send_part(bucket, key, upload_id)
            await bucket.uploads.complete(key, upload_id, [S3Part(1, etag)])
        except BaseException:
            await bucket.uploads.abort(key, upload_id)
            raise
        try:
            await _fetch(await bucket.presign_download(key, expires_s=_EXPIRES_S))
        finally:
            await bucket.delete([key])
    finally:
        await bucket.close()


async def _send_part(bucket: S3Bucket, key: str, upload_id: str) -> str:
    query = {"partNumber": "1", "uploadId": upload_id}
    url = await bucket.presign("PUT", key, expires_s=_EXPIRES_S, query=query)
    async with _requesting("PUT", url, data=_PROBE) as answer:
        etag = answer.headers.get("ETag", "")
    if not etag:
        raise CommandFailed("S3 does not work: it sends no ETag for a part of an upload.")
    return etag


async def _fetch(url: str) -> None:
    async with _requesting("GET", url) as answer:
        if await answer.content.read(len(_PROBE) + 1) != _PROBE:
            raise CommandFailed("S3 does not work: it answers with other bytes than were stored.")


@asynccontextmanager
async def _requesting(
    verb: str, url: str, data: bytes | None = None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send a request as clients of the hold do. Raises `CommandFailed`, without the signature."""
    where = url.partition("?")[0]
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(verb, URL(url, encoded=True), data=data) as answer,
        ):
            if answer.status != 200:
                raise CommandFailed(
                    f"S3 does not work: a presigned {verb} of {where} answers {answer.status}. "
                    "Clients use such URLs, so the policy of the bucket must allow them."
                )
            yield answer
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise CommandFailed(
            f"S3 does not work: {where} cannot be reached: {exc or 'no answer in time'}. "
            "Clients of the hold must reach it, too."
        ) from exc
