"""Groups of settings about the network around the server: identity, services, clients, limits."""

from __future__ import annotations

from pydantic import Field

from pds.config.server_groups import Group


class IdentitySettings(Group):
    """DIDs and handles."""

    plc_url: str = Field(
        "https://plc.directory", alias="PDS_DID_PLC_URL", description="PLC directory"
    )
    cache_stale_ttl_ms: int = Field(
        3_600_000,
        alias="PDS_DID_CACHE_STALE_TTL",
        description="Age in ms from which a DID document is refreshed in the background",
    )
    cache_max_ttl_ms: int = Field(
        86_400_000,
        alias="PDS_DID_CACHE_MAX_TTL",
        description="Age in ms from which a DID document is not used",
    )
    resolver_timeout_ms: int = Field(
        3000, alias="PDS_ID_RESOLVER_TIMEOUT", description="Limit of a DID or handle lookup, ms"
    )
    recovery_did_key: str | None = Field(
        None,
        alias="PDS_RECOVERY_DID_KEY",
        description="did:key put before the server's among the rotation keys of new accounts",
    )
    service_handle_domains: tuple[str, ...] = Field(
        (),
        alias="PDS_SERVICE_HANDLE_DOMAINS",
        description="Domains for handles, each with its leading dot; .<hostname> if unset",
    )
    handle_backup_nameservers: tuple[str, ...] = Field(
        (), alias="PDS_HANDLE_BACKUP_NAMESERVERS", description="DNS servers asked last"
    )
    enable_did_doc_with_session: bool = Field(
        False,
        alias="PDS_ENABLE_DID_DOC_WITH_SESSION",
        description="Send the DID document with sessions",
    )


class EntrywaySettings(Group):
    """The server that owns the logins of this one's accounts. The first four: all or none."""

    url: str | None = Field(
        None, alias="PDS_ENTRYWAY_URL", description="Its base URL; this server owns logins if unset"
    )
    did: str | None = Field(None, alias="PDS_ENTRYWAY_DID", description="Its DID")
    jwt_verify_key_hex: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_JWT_VERIFY_KEY_K256_PUBLIC_KEY_HEX",
        description="The secp256k1 public key that verifies its session tokens, in hex digits",
    )
    plc_rotation_key: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_PLC_ROTATION_KEY",
        description="The did:key that signs its PLC operations",
    )
    admin_token: str | None = Field(
        None,
        alias="PDS_ENTRYWAY_ADMIN_TOKEN",
        description="Its administrator's password; PDS_ADMIN_PASSWORD if unset",
        repr=False,
    )


class ServicesSettings(Group):
    """Other services that requests go on to. A service needs its URL and its DID."""

    appview_url: str | None = Field(
        None, alias="PDS_BSKY_APP_VIEW_URL", description="AppView; none if unset"
    )
    appview_did: str | None = Field(
        None, alias="PDS_BSKY_APP_VIEW_DID", description="The AppView's DID"
    )
    appview_cdn_url_pattern: str | None = Field(
        None,
        alias="PDS_BSKY_APP_VIEW_CDN_URL_PATTERN",
        description="URL of an image with three %s: preset, DID, CID",
    )
    mod_url: str | None = Field(
        None, alias="PDS_MOD_SERVICE_URL", description="Moderation service; none if unset"
    )
    mod_did: str | None = Field(
        None, alias="PDS_MOD_SERVICE_DID", description="The moderation service's DID"
    )
    report_url: str | None = Field(
        None,
        alias="PDS_REPORT_SERVICE_URL",
        description="Service that takes reports; the moderation service if unset",
    )
    report_did: str | None = Field(
        None, alias="PDS_REPORT_SERVICE_DID", description="The report service's DID"
    )
    crawlers: tuple[str, ...] = Field(
        (), alias="PDS_CRAWLERS", description="Relays told about new events, as base URLs"
    )


class SubscriptionSettings(Group):
    """The firehose."""

    max_buffer: int = Field(
        500,
        alias="PDS_MAX_SUBSCRIPTION_BUFFER",
        description="Events that a consumer may fall behind before it is cut off",
    )
    backfill_limit_ms: int = Field(
        86_400_000,
        alias="PDS_REPO_BACKFILL_LIMIT_MS",
        description="How far back a cursor may reach, in ms",
    )


class LimitSettings(Group):
    """Rate limits, and the store they share between processes."""

    rate_limits_enabled: bool = Field(
        False, alias="PDS_RATE_LIMITS_ENABLED", description="Whether requests are limited"
    )
    bypass_key: str | None = Field(
        None,
        alias="PDS_RATE_LIMIT_BYPASS_KEY",
        description="x-ratelimit-bypass header that lifts all limits",
        repr=False,
    )
    bypass_ips: tuple[str, ...] = Field(
        (), alias="PDS_RATE_LIMIT_BYPASS_IPS", description="Addresses and networks without limits"
    )
    redis_address: str | None = Field(
        None,
        alias="PDS_REDIS_SCRATCH_ADDRESS",
        description="host[:6379] of a Redis or Valkey for limits and the OAuth replay store",
    )
    redis_password: str | None = Field(
        None, alias="PDS_REDIS_SCRATCH_PASSWORD", description="Its password", repr=False
    )


class FetchSettings(Group):
    """Requests the server makes on its own account."""

    disable_ssrf_protection: bool | None = Field(
        None,
        alias="PDS_DISABLE_SSRF_PROTECTION",
        description="Allow requests to private addresses; as PDS_DEV_MODE if unset",
    )
    max_response_bytes: int = Field(
        524_288,
        alias="PDS_FETCH_MAX_RESPONSE_SIZE",
        description="Largest document fetched, in bytes",
    )
    lexicon_authority_did: str | None = Field(
        None,
        alias="PDS_LEXICON_AUTHORITY_DID",
        description="DID that all permission sets are read from, instead of DNS",
    )


class ProxySettings(Group):
    """Requests that are passed on to other services."""

    allow_http2: bool = Field(
        False, alias="PDS_PROXY_ALLOW_HTTP2", description="Accepted; HTTP/1.1 is used"
    )
    headers_timeout_ms: int = Field(
        10_000, alias="PDS_PROXY_HEADERS_TIMEOUT", description="Wait for response headers, ms"
    )
    body_timeout_ms: int = Field(
        30_000, alias="PDS_PROXY_BODY_TIMEOUT", description="Wait between parts of a body, ms"
    )
    max_response_bytes: int = Field(
        10_485_760,
        alias="PDS_PROXY_MAX_RESPONSE_SIZE",
        description="Largest response, in bytes; a longer one is cut off",
    )
    max_retries: int = Field(
        0, alias="PDS_PROXY_MAX_RETRIES", description="Retries of a query that failed to connect"
    )
    prefer_compressed: bool = Field(
        False,
        alias="PDS_PROXY_PREFER_COMPRESSED",
        description="Ask services for compressed answers where the server reads them itself",
    )


class BrandingSettings(Group):
    """The look of pages and mails."""

    home_url: str | None = Field(
        None,
        alias="PDS_HOME_URL",
        description="Link to the home page; in mails https://bsky.app if unset",
    )
    logo_url: str | None = Field(
        None, alias="PDS_LOGO_URL", description="Logo; in mails the service name if unset"
    )
    support_url: str | None = Field(None, alias="PDS_SUPPORT_URL", description="Link to help")
    primary_color: str | None = Field(
        None, alias="PDS_PRIMARY_COLOR", description="CSS colour; in mails #067df7 if unset"
    )
    error_color: str | None = Field(None, alias="PDS_ERROR_COLOR", description="CSS colour")
    warning_color: str | None = Field(None, alias="PDS_WARNING_COLOR", description="CSS colour")
    info_color: str | None = Field(None, alias="PDS_INFO_COLOR", description="CSS colour")
    success_color: str | None = Field(None, alias="PDS_SUCCESS_COLOR", description="CSS colour")
    background_light_url: str | None = Field(
        None, alias="PDS_BACKGROUND_LIGHT_URL", description="Picture behind pages, light theme"
    )
    background_dark_url: str | None = Field(
        None, alias="PDS_BACKGROUND_DARK_URL", description="Picture behind pages, dark theme"
    )


class OAuthSettings(Group):
    """OAuth clients, and the captcha of the sign-up page."""

    trusted_clients: tuple[str, ...] = Field(
        (), alias="PDS_OAUTH_TRUSTED_CLIENTS", description="client_ids that are trusted"
    )
    hcaptcha_site_key: str | None = Field(
        None, alias="PDS_HCAPTCHA_SITE_KEY", description="hCaptcha; all three or none"
    )
    hcaptcha_secret_key: str | None = Field(
        None, alias="PDS_HCAPTCHA_SECRET_KEY", description="hCaptcha", repr=False
    )
    hcaptcha_token_salt: str | None = Field(
        None, alias="PDS_HCAPTCHA_TOKEN_SALT", description="hCaptcha", repr=False
    )
