"""Groups of settings about the server itself: its name, files, secrets and limits.

Each field names its environment variable by its alias. A default of None or "" is either no
value at all or one that `Settings` derives from other settings.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Group(BaseModel):
    """A group of settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ServiceSettings(Group):
    """Who the server is and where it listens."""

    bind_address: str = Field(
        "", alias="PDS_BIND_ADDRESS", description="Address to bind; empty: all interfaces"
    )
    host: str | None = Field(
        None,
        alias="PDS_HOST",
        description="Old name of PDS_BIND_ADDRESS, which goes before it; a URL has no effect",
    )
    port: int = Field(2583, alias="PDS_PORT", description="TCP port to listen on")
    hostname: str = Field(
        "localhost", alias="PDS_HOSTNAME", description="Public host name; the URL is https://<it>"
    )
    did: str | None = Field(
        None, alias="PDS_SERVICE_DID", description="The server's DID; did:web:<hostname> if unset"
    )
    name: str | None = Field(
        None,
        alias="PDS_SERVICE_NAME",
        description="Shown on pages and in mails; <hostname> PDS if unset",
    )
    version: str | None = Field(
        None, alias="PDS_VERSION", description="Reported by _health instead of the package's own"
    )
    privacy_policy_url: str | None = Field(
        None, alias="PDS_PRIVACY_POLICY_URL", description="Link in describeServer and on pages"
    )
    terms_of_service_url: str | None = Field(
        None, alias="PDS_TERMS_OF_SERVICE_URL", description="Link in describeServer and on pages"
    )
    contact_email_address: str | None = Field(
        None, alias="PDS_CONTACT_EMAIL_ADDRESS", description="Contact in describeServer"
    )
    accepting_repo_imports: bool = Field(
        True, alias="PDS_ACCEPTING_REPO_IMPORTS", description="Whether importRepo is served"
    )
    max_repo_import_bytes: int | None = Field(
        None,
        alias="PDS_MAX_REPO_IMPORT_SIZE",
        description="Largest repo that may be imported, in bytes; the blob limit if unset",
    )
    blob_upload_limit_bytes: int = Field(
        5_242_880, alias="PDS_BLOB_UPLOAD_LIMIT", description="Largest blob, in bytes"
    )
    account_quota_bytes: int | None = Field(
        None,
        alias="PDS_ACCOUNT_QUOTA_BYTES",
        description="Room for the database and blobs of an account, in bytes; no limit if unset",
    )
    dev_mode: bool = Field(
        False,
        alias="PDS_DEV_MODE",
        description="Development: plain http is allowed and private addresses may be fetched",
    )


class DatabaseSettings(Group):
    """Where the SQLite files are and how they are written."""

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
        30_000,
        alias="PDS_ACTOR_STORE_CACHE_SIZE",
        description="Actor stores kept open; the limit of open files may allow fewer",
    )
    disable_wal_auto_checkpoint: bool = Field(
        False,
        alias="PDS_SQLITE_DISABLE_WAL_AUTO_CHECKPOINT",
        description="Leave checkpoints to Litestream",
    )
    durability: str = Field(
        "normal",
        alias="PDS_DURABILITY",
        description="normal: a power cut may lose the last commits; full: it may not, but slower",
    )
    ignore_other_server: bool = Field(
        False,
        alias="PDS_IGNORE_OTHER_SERVER",
        description="Start although another program has the databases open as a PDS has",
    )


class BlobstoreSettings(Group):
    """Where blobs are kept: a directory or an S3 bucket."""

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
        20_000, alias="PDS_BLOBSTORE_S3_UPLOAD_TIMEOUT_MS", description="Limit of one upload, ms"
    )
    s3_request_timeout_ms: int | None = Field(
        None, alias="PDS_BLOBSTORE_S3_REQUEST_TIMEOUT_MS", description="Limit of one request, ms"
    )


class SecretSettings(Group):
    """Secrets and keys. Not shown by `repr`."""

    jwt_secret: str = Field(
        "", alias="PDS_JWT_SECRET", description="Required. Signs sessions", repr=False
    )
    admin_password: str = Field(
        "", alias="PDS_ADMIN_PASSWORD", description="Required. HTTP Basic, user admin", repr=False
    )
    dpop_secret: str | None = Field(
        None,
        alias="PDS_DPOP_SECRET",
        description="64 hex digits; random for each start if unset",
        repr=False,
    )
    plc_rotation_key_hex: str = Field(
        "",
        alias="PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        description="Required. secp256k1 private key that controls did:plc accounts, 64 hex digits",
        repr=False,
    )
    plc_rotation_key_kms_id: str | None = Field(
        None,
        alias="PDS_PLC_ROTATION_KEY_KMS_KEY_ID",
        description="Not supported: a rotation key held in AWS KMS",
    )


class InviteSettings(Group):
    """Whether an account needs an invite code, and how users come by codes."""

    required: bool = Field(
        True, alias="PDS_INVITE_REQUIRED", description="Whether createAccount needs a code"
    )
    interval_ms: int | None = Field(
        None,
        alias="PDS_INVITE_INTERVAL",
        description="A user earns one code per this many ms; none if unset",
    )
    epoch_ms: int = Field(
        0, alias="PDS_INVITE_EPOCH", description="Unix ms before which no codes are earned"
    )


class EmailSettings(Group):
    """Outgoing mail. Without a server mails go to the log, at level debug; in development, info."""

    smtp_url: str | None = Field(
        None,
        alias="PDS_EMAIL_SMTP_URL",
        description="smtp:// or smtps:// URL of the mail server",
        repr=False,
    )
    from_address: str | None = Field(
        None,
        alias="PDS_EMAIL_FROM_ADDRESS",
        description="Sender of mails, as an address or Name <address>",
    )
    disable_confirmation_link: bool = Field(
        False,
        alias="PDS_EMAIL_DISABLE_CONFIRMATION_LINK",
        description="Leave the app's link out of the confirmation mail",
    )
    moderation_smtp_url: str | None = Field(
        None,
        alias="PDS_MODERATION_EMAIL_SMTP_URL",
        description="URL of the mail server for admin.sendEmail",
        repr=False,
    )
    moderation_address: str | None = Field(
        None, alias="PDS_MODERATION_EMAIL_ADDRESS", description="Sender of admin.sendEmail"
    )


class MetricsSettings(Group):
    """Metrics for Prometheus, on an address of their own."""

    host: str = Field(
        "127.0.0.1", alias="PDS_METRICS_HOST", description="Address to bind for metrics"
    )
    port: int | None = Field(
        None, alias="PDS_METRICS_PORT", description="TCP port that serves /metrics; none if unset"
    )


class ReadonlySettings(Group):
    """What `pds readonly` serves, unless its options say otherwise."""

    car_directory: str | None = Field(
        None, alias="PDS_CAR_DIR", description="CAR files: a file, a directory or a pattern"
    )
    blobs_directory: str | None = Field(
        None, alias="PDS_BLOBS_DIR", description="Directory of blobs; none if unset"
    )


class LoggingSettings(Group):
    """The log."""

    enabled: bool = Field(True, alias="LOG_ENABLED", description="Whether to log at all")
    level: str = Field("info", alias="LOG_LEVEL", description="debug, info, warning or error")
    systems: str | None = Field(
        None, alias="LOG_SYSTEMS", description="Names of the loggers to show, separated by blanks"
    )
    destination: str | None = Field(
        None, alias="LOG_DESTINATION", description="File to log to; standard error if unset"
    )
