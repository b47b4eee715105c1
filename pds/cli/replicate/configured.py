"""What the settings say about replication, as its parts take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from pds.cli.failures import CommandFailed
from pds.replication.options import ReplicationOptions, SealingOptions
from pds.replication.replica.url import ReplicaUrl

if TYPE_CHECKING:
    from pds.config import Settings


_STOP_S: Final = 12.0


def replication_options(settings: Settings, environ: Mapping[str, str]) -> ReplicationOptions:
    """Return what a supervisor is told. Raises `CommandFailed` and `InvalidReplicaUrl`.

    `environ` may name the S3 server, as Litestream allows.
    """
    replication = settings.replication
    if replication.url is None:
        raise CommandFailed(
            "There is no place to replicate to: PDS_REPLICATION_URL is not set.",
            remedy="pds replicate --to URL",
        )
    data = settings.data_directory
    return ReplicationOptions(
        replica=ReplicaUrl.parse(replication.url, environ=environ),
        service_did=settings.service_did,
        data_directory=data,
        account_db=settings.account_db_path,
        sequencer_db=settings.sequencer_db_path,
        did_cache_db=settings.did_cache_db_path,
        hold_db=settings.hold_db_path,
        actors_directory=settings.actors_directory,
        # While blobs move to S3, those on the disk are copied as long as they are there.
        blob_directory=settings.blob_directory,
        sealing=SealingOptions(
            passphrase=replication.key_passphrase,
            recipient=replication.key_recipient,
            in_clear=replication.keys_in_clear,
        ),
        hot_set=replication.hot_set,
        idle_s=replication.idle_timeout_ms / 1000,
        sweep_interval_s=replication.sweep_interval_ms / 1000,
        retention_days=replication.retention_days,
        # With what else a stop does, less than `pds.server.replicator` waits.
        stop_s=_STOP_S,
    )
