"""The identity and the appearance of the server."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class ServiceSettings(Group):
    """The identity of the server and the address it listens on."""

    bind_address: str = Field(
        "", alias="PDS_BIND_ADDRESS", description="Address to bind; empty: all interfaces"
    )
    host: str | None = Field(
        None,
        alias="PDS_HOST",
        description="Old name of PDS_BIND_ADDRESS, which takes precedence; a URL has no effect",
    )
    port: int = Field(2583, alias="PDS_PORT", description="TCP port to listen on")
    workers: str = Field(
        "1",
        alias="PDS_WORKERS",
        description="Processes that answer requests; auto: one for each core",
    )
    worker_timeout_ms: int = Field(
        30_000,
        alias="PDS_WORKER_TIMEOUT",
        description="How long a worker may hang before it is replaced, in milliseconds",
    )
    hostname: str = Field(
        "localhost",
        alias="PDS_HOSTNAME",
        description="Public host name; the URL is https://<hostname>",
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
        None,
        alias="PDS_VERSION",
        description="Version that _health reports; the package's own if unset",
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
        description="Largest repository that may be imported, in bytes; the blob limit if unset",
    )
    blob_upload_limit_bytes: int = Field(
        5_242_880, alias="PDS_BLOB_UPLOAD_LIMIT", description="Largest blob, in bytes"
    )
    account_quota_bytes: int | None = Field(
        None,
        alias="PDS_ACCOUNT_QUOTA_BYTES",
        description="Quota for the database and blobs of an account, in bytes; none if unset",
    )
    dev_mode: bool = Field(
        False,
        alias="PDS_DEV_MODE",
        description="Development: allow plain http and requests to private addresses",
    )


class BrandingSettings(Group):
    """The appearance of pages and mails."""

    home_url: str | None = Field(
        None,
        alias="PDS_HOME_URL",
        description="Link on pages and in mails; in mails https://bsky.app if unset",
    )
    logo_url: str | None = Field(
        None,
        alias="PDS_LOGO_URL",
        description="Logo in mails, and on pages, for which this server fetches it; 2 MiB at most",
    )
    support_url: str | None = Field(
        None, alias="PDS_SUPPORT_URL", description="Link to help on pages"
    )
    primary_color: str | None = Field(
        None,
        alias="PDS_PRIMARY_COLOR",
        description="CSS colour of buttons and of the names in mails; in mails #067df7 if unset",
    )
    error_color: str | None = Field(
        None, alias="PDS_ERROR_COLOR", description="CSS colour beside problems"
    )
    warning_color: str | None = Field(
        None, alias="PDS_WARNING_COLOR", description="CSS colour beside warnings"
    )
    info_color: str | None = Field(
        None, alias="PDS_INFO_COLOR", description="CSS colour beside notices"
    )
    success_color: str | None = Field(
        None, alias="PDS_SUCCESS_COLOR", description="CSS colour beside what has been done"
    )
    background_light_url: str | None = Field(
        None, alias="PDS_BACKGROUND_LIGHT_URL", description="Picture behind pages, light theme"
    )
    background_dark_url: str | None = Field(
        None, alias="PDS_BACKGROUND_DARK_URL", description="Picture behind pages, dark theme"
    )
