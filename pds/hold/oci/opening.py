"""Opening the store of a hold's blobs, where the settings say that blobs are."""

from __future__ import annotations

from typing import Final

from actor_store.blob_store.s3_bucket import S3Bucket
from database.open_files import OpenFiles
from pds.config import ConfigError, Settings
from pds.hold.oci.buffered_s3 import BufferedS3OciStorage
from pds.hold.oci.disk import DiskOciStorage
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.s3 import S3OciStorage
from pds.hold.oci.storage import OciStorage
from pds.opening import bucket_location

_DIRECTORY: Final = "oci"
"""In the directory of blobs; a DID, as other names there, begins otherwise."""
_UPLOADS: Final = "hold-uploads"
"""In the data directory, where no blobs are on disk."""


def open_oci_storage(settings: Settings, files: OpenFiles) -> OciStorage | MovingOciStorage:
    """Open the bucket, the directory, or during a move both. Nothing is sent yet: S3 may be down.

    Raises `ConfigError` if there is no place.
    """
    stores = [_open_home(home, settings, files) for home in settings.blob_homes]
    if not stores:
        raise ConfigError(["There is no place for blobs: set PDS_BLOBSTORE_DISK_LOCATION"])
    return stores[0] if len(stores) == 1 else MovingOciStorage(new=stores[0], old=stores[1])


def _open_home(home: str, settings: Settings, files: OpenFiles) -> OciStorage:
    location = bucket_location(settings)
    # A move deletes the other copy, so that what it has written must survive a power cut.
    full_sync = settings.synchronous == "FULL" or settings.blobstore.move_to == "disk"
    if home == "disk" or location is None:
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
