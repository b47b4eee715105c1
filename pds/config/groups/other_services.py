"""Other servers: those that requests are proxied to, and those that documents are fetched from."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class ServicesSettings(Group):
    """Other services that requests are proxied to. Each needs both a URL and a DID."""

    appview_url: str | None = Field(
        None, alias="PDS_BSKY_APP_VIEW_URL", description="AppView; none if unset"
    )
    appview_did: str | None = Field(
        None, alias="PDS_BSKY_APP_VIEW_DID", description="The AppView's DID"
    )
    appview_cdn_url_pattern: str | None = Field(
        None,
        alias="PDS_BSKY_APP_VIEW_CDN_URL_PATTERN",
        description="URL of an image, with a %s each for preset, DID and CID",
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
        description="Service that receives reports; the moderation service if unset",
    )
    report_did: str | None = Field(
        None, alias="PDS_REPORT_SERVICE_DID", description="The report service's DID"
    )
    crawlers: tuple[str, ...] = Field(
        (), alias="PDS_CRAWLERS", description="Relays to notify of new events, as base URLs"
    )


class ProxySettings(Group):
    """Requests that are proxied to other services."""

    allow_http2: bool = Field(
        False, alias="PDS_PROXY_ALLOW_HTTP2", description="Accepted; HTTP/1.1 is used"
    )
    headers_timeout_ms: int = Field(
        10_000, alias="PDS_PROXY_HEADERS_TIMEOUT", description="Timeout for response headers, ms"
    )
    body_timeout_ms: int = Field(
        30_000, alias="PDS_PROXY_BODY_TIMEOUT", description="Timeout between parts of a body, ms"
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
        description="Whether to ask services for compressed responses that the server reads itself",
    )


class FetchSettings(Group):
    """Requests that the server makes on its own behalf."""

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
        description="DID from which all permission sets are read, instead of looking in DNS",
    )
