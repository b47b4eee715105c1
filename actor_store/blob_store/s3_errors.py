"""From what aiobotocore raises to the errors of a blob store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from actor_store.blob_store.base import (
    BlobObjectChanged,
    BlobObjectMissing,
    BlobPartsRefused,
    BlobStoreError,
    BlobStoreFull,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
    BlobUploadMissing,
    InvalidBlobRange,
)
from actor_store.blob_store.s3_location import S3Location, S3Wording

_GONE: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_FULL: Final = frozenset(
    (
        *("507", "InsufficientStorage", "InsufficientCapacity", "QuotaExceeded", "StorageFull"),
        *("XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "XAmzStorageQuotaExceeded"),
        *("EntityTooLargeForQuota", "OverQuota", "LimitExceeded"),
    )
)
"""SeaweedFS has no code of its own for a full store: it says `InternalError`."""
_CHANGED: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_UNKNOWN_UPLOAD: Final = frozenset({"NoSuchUpload"})
_BAD_PARTS: Final = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})
_PASSING: Final = frozenset(
    (
        *("RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "429"),
        *("ThrottlingException", "TooManyRequests", "InternalError", "ServiceUnavailable"),
        *("OperationAborted", "PriorRequestNotComplete", "BadDigest", "IncompleteBody"),
    )
)
_REMEDIES: Final[Mapping[str, Callable[[S3Wording], str]]] = {
    "NoSuchBucket": lambda wording: wording.bucket,
    "InvalidAccessKeyId": lambda wording: wording.credentials,
    "SignatureDoesNotMatch": lambda wording: wording.credentials,
    "InvalidToken": lambda wording: wording.credentials,
    "ExpiredToken": lambda wording: wording.credentials,
    "RequestTimeTooSkewed": lambda _: "set the clock of this machine",
    "AuthorizationHeaderMalformed": lambda wording: wording.region,
    "PermanentRedirect": lambda wording: wording.region,
    "301": lambda wording: wording.region,
}


@asynccontextmanager
async def blob_store_errors(location: S3Location, *, timeout_s: float) -> AsyncIterator[None]:
    """Bound the time of calls in a `with` block; turn failures of S3 into `BlobStoreError`s."""
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except (BotoCoreError, ClientError, HTTPClientError, TimeoutError, ValueError) as exc:
        # botocore raises a bare ValueError for an endpoint that is no URL.
        raise blob_store_error(exc, location) from exc


def blob_store_error(exc: Exception, location: S3Location) -> BlobStoreError:
    """Return the error for one that aiobotocore raised, or for a `TimeoutError`."""
    if isinstance(exc, ClientError):
        answer = exc.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        message = str(answer.get("Error", {}).get("Message", ""))[:300]
        return refusal(_code(exc), message, location, status=status)
    if isinstance(exc, NoCredentialsError | PartialCredentialsError):
        return BlobStoreMisconfigured(
            f"there are no credentials for {location}", location.wording.credentials
        )
    if isinstance(exc, CredentialRetrievalError | HTTPClientError | TimeoutError):
        reason = str(exc) or "it took too long"
        return BlobStoreUnavailable(f"{location.wording.noun} {location} does not answer: {reason}")
    if isinstance(exc, ParamValidationError | ValueError):
        return BlobStoreMisconfigured(f"{location} cannot be used ({exc})", location.wording.other)
    # Such as a body that ended early, which reaches the caller after the answer began.
    return BlobStoreUnavailable(f"{location.wording.noun} {location} fails: {exc}")


def explain(exc: BlobStoreError) -> tuple[str, str]:
    """Return what is wrong with the bucket, and a sentence that tells the operator what to do."""
    if isinstance(exc, BlobStoreMisconfigured):
        return exc.problem, f"{exc.remedy[:1].upper()}{exc.remedy[1:]}."
    return str(exc), "See that the S3 server runs and can be reached from here."


def refusal(code: str, message: str, location: S3Location, *, status: int = 0) -> BlobStoreError:
    """Return the error for a code and message of S3."""
    wording = location.wording
    said = f"{wording.noun} {location} says {code}"
    if message:
        said += f" ({message})"
    if code in _GONE:
        return BlobObjectMissing(said)
    if code in _FULL or status == 507:
        return BlobStoreFull(f"{said}: make room there, or raise the quota")
    if code in _CHANGED:
        return BlobObjectChanged(said)
    if code in _UNKNOWN_UPLOAD:
        return BlobUploadMissing(said)
    if code in _BAD_PARTS:
        return BlobPartsRefused(said)
    if code == "InvalidRange" or status == 416:
        return InvalidBlobRange(said)
    if code in _PASSING or status >= 500 or status == 429:
        return BlobStoreUnavailable(said)
    if code in {"AccessDenied", "403", "Forbidden", "AllAccessDisabled"}:
        return BlobStoreMisconfigured(said, wording.permissions)
    remedy = _REMEDIES.get(code)
    return BlobStoreMisconfigured(said, wording.other if remedy is None else remedy(wording))


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))
