"""The one table from the errors of a hold to XRPC statuses and names.

Errors of the packages below are in `pds.xrpc.error_map`, which cannot import the hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from actor_store.blob_store.base import BlobStoreError
from database.errors import DatabaseError
from pds.hold.crew.crew import CaptainStays, MemberTakendown, MemberUnknown
from pds.hold.crew.repo_rules import HoldWriteRefused, InvalidCrew
from pds.hold.gc.collector import InvalidGcCursor
from pds.hold.images.manifest import InvalidManifest
from pds.hold.images.pushes import QuotaExceeded
from pds.hold.oci import errors as oci_errors
from pds.hold.oci.digest import InvalidDigest
from pds.hold.permissions import AccessDenied
from pds.hold.personal import DeletionFailed
from pds.service_auth.jwt import JwtExpired, ServiceJwtError
from pds.xrpc.error_map import to_xrpc as below_to_xrpc
from pds.xrpc.errors import XrpcError

HOLD_ERRORS: Final[Mapping[type[Exception], tuple[int, str]]] = {
    AccessDenied: (403, "Forbidden"),
    JwtExpired: (401, "ExpiredToken"),
    InvalidDigest: (400, "InvalidDigest"),
    oci_errors.UploadNotFound: (400, "InvalidUploadId"),
    oci_errors.TooManyUploads: (429, "RateLimitExceeded"),
    oci_errors.HoldFull: (503, "NotEnoughResources"),
    oci_errors.InvalidPartNumber: (400, "InvalidPartNumber"),
    oci_errors.PartTooLarge: (413, "UploadFailed"),
    oci_errors.MissingParts: (400, "MissingParts"),
    oci_errors.PartsRefused: (400, "CompletionFailed"),
    oci_errors.DigestMismatch: (400, "InvalidDigest"),
    oci_errors.BlobNotFound: (404, "BlobNotFound"),
    oci_errors.BlobBeingChecked: (503, "NotEnoughResources"),
    MemberUnknown: (404, "UserNotFound"),
    CaptainStays: (400, "InvalidRequest"),
    MemberTakendown: (403, "Forbidden"),
    HoldWriteRefused: (403, "Forbidden"),
    InvalidCrew: (400, "InvalidRequest"),
    InvalidGcCursor: (400, "InvalidRequest"),
    DeletionFailed: (400, "DeletionFailed"),
    InvalidManifest: (400, "InvalidRequest"),
    QuotaExceeded: (403, "QuotaExceeded"),
}
"""By class; a class that is not listed is looked up by its nearest listed ancestor."""

_ANSWERED: Final[tuple[type[Exception], ...]] = (ServiceJwtError, *HOLD_ERRORS)
_INTERNAL: Final = 500
_STATUSES: Final = {"RegistrationDisabled": 403, "UserMismatch": 403}
"""Statuses of errors that a Lexicon of the hold names, where they are not 400."""


def named(name: str, message: str) -> XrpcError:
    """Return an error that a Lexicon of the hold names, with its status."""
    return XrpcError(_STATUSES.get(name, 400), name, message)


def to_xrpc(exc: Exception) -> XrpcError:
    """Map an error of the hold, or of a service token, to an answer."""
    listed = next((kind for kind in type(exc).__mro__ if kind in HOLD_ERRORS), None)
    if listed is not None:
        status, name = HOLD_ERRORS[listed]
        return XrpcError(status, name, str(exc), retry_after_s=getattr(exc, "retry_after_s", None))
    if isinstance(exc, ServiceJwtError):
        return below_to_xrpc(exc)
    raise TypeError(f"{type(exc).__name__} is no error of the hold") from exc


@contextmanager
def answering() -> Iterator[None]:
    """Raise the errors of the hold within a `with` block as `XrpcError`s."""
    try:
        yield
    except _ANSWERED as exc:
        raise to_xrpc(exc) from exc


@contextmanager
def failing_as(name: str) -> Iterator[None]:
    """Give a failure of the store within a `with` block the name that a Lexicon has for it.

    The status stays: it tells whether the client may try again.
    """
    try:
        yield
    except (BlobStoreError, DatabaseError, OSError) as exc:
        error = below_to_xrpc(exc)
        if error.status == _INTERNAL:
            raise  # The router logs it.
        error.name = name
        raise error from exc
