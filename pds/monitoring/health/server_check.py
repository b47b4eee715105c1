"""The health check of this server: its list of probes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from actor_store.blob_store.s3_bucket import S3Bucket
from database.errors import DatabaseError
from identity.did_cache import DidCache
from pds.accounts.register import AccountRegister
from pds.config import Settings
from pds.disk.network_filesystem import database_directories
from pds.monitoring.health.bucket_probe import BucketProbe
from pds.monitoring.health.check import HealthCheck, Probe
from pds.monitoring.health.probes import (
    DatabaseProbe,
    DirectoryProbe,
    Failure,
    RoomProbe,
    database_failure,
)
from pds.pending.unfinished import Unfinished
from sequencer.remote import AnySequencer

ACCOUNTS: Final = "service database"
LOG: Final = "event log"
DID_CACHE: Final = "DID cache"
DATABASES: Final = "disk of the databases"
BLOBS: Final = "blob directory"
UPLOADS: Final = "upload directory"
BUCKET: Final = "blob bucket"

_DATABASE_ROOM_BYTES: Final = 1 << 20
"""With less, the next write may fail."""


def make_health_check(
    settings: Settings,
    accounts: AccountRegister,
    sequencer: AnySequencer,
    did_cache: DidCache,
    unfinished: Unfinished,
    bucket: S3Bucket | None = None,
) -> HealthCheck:
    """Make the check of a server whose databases have just been opened. Raises `OSError`."""

    def quick() -> Iterator[Failure]:
        for check, ask in (
            (ACCOUNTS, accounts.check_health),
            (LOG, sequencer.log.latest_seq),
            (DID_CACHE, did_cache.check_health),
        ):
            try:
                ask()
            except DatabaseError as exc:
                yield database_failure(check, exc)
        if sequencer.is_behind:
            yield Failure(
                LOG,
                f"{sequencer.waiting_events} events wait, for it does not take them",
                f"Free space on the disk of {settings.sequencer_db_path}, and see that no other "
                "program has it locked.",
            )
        if unfinished.finish is not None:
            yield Failure(
                LOG,
                "what the last stop has left is not mended, for the disk is full: repositories "
                "take no writes",
                f"Free space on the disk of {settings.data_directory}.",
            )

    remote = () if bucket is None else (BucketProbe(BUCKET, bucket),)
    return HealthCheck(quick, list(_probes(settings, did_cache)), remote=remote)


def _probes(settings: Settings, did_cache: DidCache) -> Iterator[Probe]:
    yield DatabaseProbe(ACCOUNTS, settings.account_db_path, "actor")
    yield DatabaseProbe(LOG, settings.sequencer_db_path, "repo_seq")
    if did_cache.is_in_file:
        yield DatabaseProbe(DID_CACHE, settings.did_cache_db_path, "did_doc")
    for outermost in _outermost(database_directories(settings).values()):
        yield RoomProbe(DATABASES, outermost, needed_bytes=_DATABASE_ROOM_BYTES)
    needed = settings.service.blob_upload_limit_bytes
    for check, directory in (
        (BLOBS, settings.blob_directory),
        (UPLOADS, settings.blob_tmp_directory),
    ):
        if directory is not None:
            yield DirectoryProbe(check, directory, needed_bytes=needed)


def _outermost(directories: Iterable[Path]) -> Iterator[Path]:
    """Yield the directories that are not inside another one."""
    every = list(directories)
    return (one for one in every if not any(other in one.parents for other in every))
