"""The locations of files: databases, blobs, archives."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class DatabaseSettings(Group):
    """The locations of the SQLite files, and how they are written."""

    data_directory: str = Field(
        ".", alias="PDS_DATA_DIRECTORY", description="Directory of all databases and actors"
    )
    account_location: str | None = Field(
        None,
        alias="PDS_ACCOUNT_DB_LOCATION",
        description="Service database; account.sqlite in the data directory if unset",
    )
    sequencer_location: str | None = Field(
        None,
        alias="PDS_SEQUENCER_DB_LOCATION",
        description="Event log; sequencer.sqlite in the data directory if unset",
    )
    did_cache_location: str | None = Field(
        None,
        alias="PDS_DID_CACHE_DB_LOCATION",
        description="DID document cache; did_cache.sqlite in the data directory if unset",
    )
    actor_store_location: str | None = Field(
        None,
        alias="PDS_ACTOR_STORE_DIRECTORY",
        description="Actor stores; actors in the data directory if unset",
    )
    actor_store_cache_size: int = Field(
        10_000,
        alias="PDS_ACTOR_STORE_CACHE_SIZE",
        description="Actor stores kept open; fewer if memory or open files are scarce",
    )
    disable_wal_auto_checkpoint: bool = Field(
        False,
        alias="PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT",
        description="Leave checkpoints to Litestream",
    )
    durability: str = Field(
        "full",
        alias="PDS_DURABILITY",
        description="full: a power cut loses nothing that was answered; normal: it may lose the "
        "last commits",
    )
    ignore_other_server: bool = Field(
        False,
        alias="PDS_IGNORE_OTHER_SERVER",
        description="Start although another program has the databases open as a PDS has",
    )


class BlobstoreSettings(Group):
    """The place where blobs are stored: a directory or an S3 bucket, or both during a move."""

    disk_location: str | None = Field(
        None, alias="PDS_BLOBSTORE_DISK_LOCATION", description="Directory of blobs"
    )
    disk_tmp_location: str | None = Field(
        None,
        alias="PDS_BLOBSTORE_DISK_TMP_LOCATION",
        description="Directory of uploads in progress; tempt in the blob directory if unset",
    )
    s3_bucket: str | None = Field(
        None, alias="PDS_BLOBSTORE_S3_BUCKET", description="S3 bucket of blobs"
    )
    s3_region: str | None = Field(
        None, alias="PDS_BLOBSTORE_S3_REGION", description="Region of the bucket"
    )
    s3_endpoint: str | None = Field(
        None, alias="PDS_BLOBSTORE_S3_ENDPOINT", description="URL of an S3 server other than AWS"
    )
    s3_force_path_style: bool | None = Field(
        None,
        alias="PDS_BLOBSTORE_S3_FORCE_PATH_STYLE",
        description="Put the bucket in the path, not in the host name",
    )
    s3_access_key_id: str | None = Field(
        None, alias="PDS_BLOBSTORE_S3_ACCESS_KEY_ID", description="S3 credential"
    )
    s3_secret_access_key: str | None = Field(
        None, alias="PDS_BLOBSTORE_S3_SECRET_ACCESS_KEY", description="S3 credential", repr=False
    )
    s3_upload_timeout_ms: int = Field(
        20_000,
        alias="PDS_BLOBSTORE_S3_UPLOAD_TIMEOUT_MS",
        description="How long storing one part of an upload, of 5 MiB, may take, ms",
    )
    s3_request_timeout_ms: int | None = Field(
        None,
        alias="PDS_BLOBSTORE_S3_REQUEST_TIMEOUT_MS",
        description="How long S3 may be silent before a request is repeated, ms; 10000 if unset",
    )
    s3_redirect: str = Field(
        "none",
        alias="PDS_BLOBSTORE_S3_REDIRECT",
        description="none: getBlob sends blobs itself; presigned: it redirects to S3",
    )
    cdn_url: str | None = Field(
        None,
        alias="PDS_BLOBSTORE_CDN_URL",
        description="Base URL of a CDN in front of the bucket, to which getBlob redirects instead",
    )
    move_to: str | None = Field(
        None,
        alias="PDS_BLOBSTORE_MOVE_TO",
        description="While blobs move from disk to S3 or back: where to, s3 or disk",
    )


class ReadonlySettings(Group):
    """What `pds readonly` serves, unless options override it."""

    car_directory: str | None = Field(
        None, alias="PDS_CAR_DIR", description="CAR files: a file, a directory or a pattern"
    )
    blobs_directory: str | None = Field(
        None, alias="PDS_BLOBS_DIR", description="Directory of blobs; none if unset"
    )
