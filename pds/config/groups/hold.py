"""The hold: storage for images of the ATCR container registry."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class HoldSettings(Group):
    """The hold: storage for images of the ATCR container registry."""

    enabled: bool = Field(
        False, alias="PDS_HOLD_ENABLED", description="Whether this server is a hold as well"
    )
    only: bool = Field(
        False,
        alias="PDS_HOLD_ONLY",
        description="Whether only the hold has an account here; hold.env sets it",
    )
    owner: str | None = Field(
        None, alias="PDS_HOLD_OWNER", description="DID of the captain, who may do everything"
    )
    public_url: str | None = Field(
        None,
        alias="PDS_HOLD_PUBLIC_URL",
        description="URL that gives the hold its DID; the server's public URL if unset",
    )
    public: bool = Field(
        False, alias="PDS_HOLD_PUBLIC", description="Whether everyone may pull images"
    )
    allow_all_crew: bool = Field(
        False,
        alias="PDS_HOLD_ALLOW_ALL_CREW",
        description="Whether everyone with an account anywhere may become a member of the crew",
    )
    region: str | None = Field(
        None,
        alias="PDS_HOLD_REGION",
        description="Region in the captain record; if unset, PDS_BLOBSTORE_S3_REGION, or as before",
    )
    successor: str | None = Field(
        None, alias="PDS_HOLD_SUCCESSOR", description="DID of the hold that replaces this one"
    )
    bluesky_posts: bool = Field(
        False,
        alias="PDS_HOLD_BLUESKY_POSTS",
        description="Whether the hold posts to Bluesky when an image is pushed",
    )
    profile_avatar_url: str | None = Field(
        None,
        alias="PDS_HOLD_PROFILE_AVATAR",
        description="URL of a PNG or JPEG for the hold's profile; fetched if it has no picture",
    )
    discovery_urls: tuple[str, ...] = Field(
        (),
        alias="PDS_HOLD_DISCOVERY_URLS",
        description="Discovery services to ask for a crawl at every start",
    )
    token_methods: tuple[str, ...] = Field(
        (),
        alias="PDS_HOLD_TOKEN_METHODS",
        description="Further methods for which service tokens are accepted (lxm)",
    )
    appview_did: str | None = Field(
        None,
        alias="PDS_HOLD_APPVIEW_DID",
        description="DID of the registry that may set the tiers of members",
    )
    tiers: tuple[str, ...] = Field(
        (),
        alias="PDS_HOLD_TIERS",
        description="Quotas of members, lowest first, such as deckhand=5GB,bosun=50GB",
    )
    new_crew_tier: str | None = Field(
        None, alias="PDS_HOLD_NEW_CREW_TIER", description="Tier of new members; the first if unset"
    )
    presigned_urls: bool = Field(
        True,
        alias="PDS_HOLD_PRESIGNED_URLS",
        description="Whether clients use presigned URLs; else all bytes pass through the server",
    )
    s3_prefix: str = Field(
        "docker/registry/v2/",
        alias="PDS_HOLD_S3_PREFIX",
        description="Prefix of the keys of layers in the bucket",
    )
    cdn_url: str | None = Field(
        None,
        alias="PDS_HOLD_CDN_URL",
        description="Base URL of a CDN in front of the bucket, for downloads of layers",
    )
    verify_uploads: bool = Field(
        True,
        alias="PDS_HOLD_VERIFY_UPLOADS",
        description="Whether layers uploaded to S3 are read once to check their digest",
    )
    stats_interval_ms: int = Field(
        30_000,
        alias="PDS_HOLD_STATS_INTERVAL",
        description="Time between commits of pull and push counts, ms",
    )
    gc_enabled: bool = Field(
        False,
        alias="PDS_HOLD_GC_ENABLED",
        description="Whether layers that no manifest refers to are deleted every night",
    )
    gc_grace_ms: int = Field(
        7 * 24 * 60 * 60 * 1000,
        alias="PDS_HOLD_GC_GRACE",
        description="How long a layer stays after it was last referred to or asked for, ms",
    )
