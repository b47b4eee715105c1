"""DIDs and handles."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class IdentitySettings(Group):
    """DIDs and handles."""

    plc_url: str = Field(
        "https://plc.directory", alias="PDS_DID_PLC_URL", description="PLC directory"
    )
    cache_stale_ttl_ms: int = Field(
        3_600_000,
        alias="PDS_DID_CACHE_STALE_TTL",
        description="Age from which a DID document is refreshed in the background, ms",
    )
    cache_max_ttl_ms: int = Field(
        86_400_000,
        alias="PDS_DID_CACHE_MAX_TTL",
        description="Age from which a DID document is not used, ms",
    )
    resolver_timeout_ms: int = Field(
        3000, alias="PDS_ID_RESOLVER_TIMEOUT", description="Timeout of a DID or handle look-up, ms"
    )
    recovery_did_key: str | None = Field(
        None,
        alias="PDS_RECOVERY_DID_KEY",
        description="did:key to put before the server's among the rotation keys of new accounts",
    )
    service_handle_domains: tuple[str, ...] = Field(
        (),
        alias="PDS_SERVICE_HANDLE_DOMAINS",
        description="Domains for handles, each with its leading dot; .<hostname> if unset",
    )
    handle_backup_nameservers: tuple[str, ...] = Field(
        (), alias="PDS_HANDLE_BACKUP_NAMESERVERS", description="DNS servers to ask last"
    )
    enable_did_doc_with_session: bool = Field(
        False,
        alias="PDS_ENABLE_DID_DOC_WITH_SESSION",
        description="Whether sessions include the DID document",
    )
