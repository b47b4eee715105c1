"""Opening the store of a hold's blobs, where the settings say that blobs are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from actor_store.blob_store.s3_bucket import S3Bucket
from database.open_files import OpenFiles
from pds.config import Settings
from pds.hold.oci.buffered_s3 import BufferedS3OciStorage
from pds.hold.oci.disk import DiskOciStorage
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.s3 import S3OciStorage
from pds.hold.oci.storage import OciStorage
from pds.opening import open_blob_homes, open_bucket, syncs_blobs

_DIRECTORY: Final = "oci"
"""In the directory of blobs; a DID, as other names there, begins otherwise."""
_UPLOADS: Final = "hold-uploads"
"""In the data directory, where no blobs are on disk."""


def open_oci_storage(settings: Settings, files: OpenFiles) -> OciStorage | MovingOciStorage:
    """Open the bucket, the directory, or during a move both. Nothing is sent yet: S3 may be down.

    Raises `ConfigError` if there is no place.
    """
    full_sync = syncs_blobs(settings)

    def on_disk(directory: Path) -> OciStorage:
        return DiskOciStorage(directory / _DIRECTORY, full_sync=full_sync, files=files)

    def on_s3(bucket: S3Bucket) -> OciStorage:
        prefix = settings.hold.s3_prefix
        if settings.hold.presigned_urls:
            return S3OciStorage(bucket, prefix)
        uploads = settings.data_directory / _UPLOADS
        return BufferedS3OciStorage(bucket, prefix, uploads, full_sync=full_sync, files=files)

    bucket = open_bucket(settings, cdn_url=settings.hold.cdn_url)
    new, old = open_blob_homes(settings, bucket, on_disk=on_disk, on_s3=on_s3)
    return new if old is None else MovingOciStorage(new, old)
