"""Limits for clients: rate limits, and what a firehose consumer can still get."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class LimitSettings(Group):
    """Rate limits, and the store that processes share for them."""

    rate_limits_enabled: bool = Field(
        False, alias="PDS_RATE_LIMITS_ENABLED", description="Whether requests are limited"
    )
    bypass_key: str | None = Field(
        None,
        alias="PDS_RATE_LIMIT_BYPASS_KEY",
        description="Value of the header x-ratelimit-bypass that lifts all limits",
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
        None, alias="PDS_REDIS_SCRATCH_PASSWORD", description="Password of that server", repr=False
    )


class SubscriptionSettings(Group):
    """The firehose."""

    max_buffer: int = Field(
        500,
        alias="PDS_MAX_SUBSCRIPTION_BUFFER",
        description="Events that a consumer may fall behind before it is disconnected",
    )
    backfill_limit_ms: int = Field(
        86_400_000,
        alias="PDS_REPO_BACKFILL_LIMIT_MS",
        description="How far back a cursor may reach, in ms",
    )
    retention_days: int | None = Field(
        None,
        alias="PDS_EVENT_RETENTION_DAYS",
        description="Days after which events are deleted from the log; they are kept if unset",
    )
    retention_bytes: int | None = Field(
        None,
        alias="PDS_EVENT_RETENTION_BYTES",
        description="Size of the log, in bytes, from which its oldest events are deleted; no limit "
        "if unset",
    )
