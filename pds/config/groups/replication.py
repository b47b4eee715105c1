"""Replication of the whole server with Litestream."""

from __future__ import annotations

from pydantic import Field

from pds.config.groups import Group


class ReplicationSettings(Group):
    """Replication of the whole server to another place, with Litestream."""

    url: str | None = Field(
        None,
        alias="PDS_REPLICATION_URL",
        description="Place of the replica: s3://, file:// or sftp://; none if unset",
        repr=False,
    )
    with_server: bool = Field(
        True,
        alias="PDS_REPLICATION_WITH_SERVER",
        description="Whether pds serve runs pds replicate; else it is a service of its own",
    )
    key_passphrase: str | None = Field(
        None,
        alias="PDS_REPLICATION_KEY_PASSPHRASE",
        description="Encrypts the signing keys in the replica",
        repr=False,
    )
    key_recipient: str | None = Field(
        None,
        alias="PDS_REPLICATION_KEY_RECIPIENT",
        description="Encrypts them for the owner of an age identity instead: its age1… key",
    )
    keys_in_clear: bool = Field(
        False,
        alias="PDS_REPLICATION_KEYS_IN_CLEAR",
        description="Copies them unencrypted: everyone who reads the replica has them",
    )
    hot_set: int = Field(
        500,
        alias="PDS_REPLICATION_HOT_SET",
        description="Accounts whose databases Litestream keeps open",
    )
    idle_timeout_ms: int = Field(
        20_000,
        alias="PDS_REPLICATION_IDLE_TIMEOUT",
        description="How long it keeps one open that does not change, ms",
    )
    sweep_interval_ms: int = Field(
        30_000,
        alias="PDS_REPLICATION_SWEEP_INTERVAL",
        description="Time between looks at all files for changes that make no event, ms",
    )
    retention_days: int = Field(
        7,
        alias="PDS_REPLICATION_RETENTION_DAYS",
        description="How far back the replica can be restored, in days",
    )
