"""Opening the store of a hold's blobs, where the settings say that blobs are."""

from __future__ import annotations

from typing import Final

from actor_store.blob_store.s3_bucket import S3Bucket
from database.open_files import OpenFiles
from pds.config import ConfigError, Settings
from pds.hold.oci.buffered_s3 import BufferedS3OciStorage
from pds.hold.oci.disk import DiskOciStorage
from pds.hold.oci.s3 import S3OciStorage
from pds.hold.oci.storage import OciStorage
from pds.opening import bucket_location

_DIRECTORY: Final = "oci"
"""In the directory of blobs; a DID, as other names there, begins otherwise."""
_UPLOADS: Final = "hold-uploads"
"""In the data directory, where no blobs are on disk."""


def open_oci_storage(settings: Settings, files: OpenFiles) -> OciStorage:
    """Open the bucket or the directory. Nothing is sent yet: S3 may be down.

    Raises `ConfigError` if there is no place.
    """
    location = bucket_location(settings)
    full_sync = settings.synchronous == "FULL"
    if location is None:
        if settings.blob_directory is None:
            raise ConfigError(["There is no place for blobs: set PDS_BLOBSTORE_DISK_LOCATION"])
        return DiskOciStorage(
            settings.blob_directory / _DIRECTORY, full_sync=full_sync, files=files
        )
    prefix = settings.hold.s3_prefix
    bucket = S3Bucket(location, cdn_url=settings.hold.cdn_url)
    if settings.hold.presigned_urls:
        return S3OciStorage(bucket, prefix)
    return BufferedS3OciStorage(
        bucket, prefix, settings.data_directory / _UPLOADS, full_sync=full_sync, files=files
    )
