"""Opening the files of a server: its databases, its actors and its blobs, as the settings say.

A `stack` that is handed in closes what is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from actor_store.blob_store.base import BlobStore
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import MovableStore
from actor_store.blob_store.s3 import S3BlobStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_links import BlobLinks
from actor_store.blob_store.s3_location import S3Location
from actor_store.layout import ActorLayout
from actor_store.opening import StoreSettings
from actor_store.store import ActorStore
from database.checkpoints import Checkpointer
from database.connection import Database
from database.durability import Durability, GroupSync
from database.errors import DatabaseFull
from database.open_files import OpenFiles
from identity.did_cache import DidCache
from pds.accounts.register import AccountRegister
from pds.accounts.schema import open_account_database
from pds.config import ConfigError, Settings
from pds.peers.events import EventContext, append_events, send_frames_to
from repo.tid import TidClock
from sequencer.remote import RemoteSequencer
from sequencer.retention import KeptEvents, Retention
from sequencer.sequencer import Sequencer

T = TypeVar("T")


def open_durability(settings: Settings, stack: AsyncExitStack) -> Durability:
    """Open what makes commits durable before they are answered, if it is to."""
    durability = GroupSync() if settings.is_durable else Durability()
    stack.push_async_callback(durability.close)
    return durability


def open_accounts(
    settings: Settings, checkpointer: Checkpointer, durability: Durability
) -> Database:
    """Open the service database. Raises `DatabaseError`s."""
    durability.take_from_disk(settings.account_db_path)
    db = open_account_database(
        settings.account_db_path,
        wal_autocheckpoint=settings.wal_autocheckpoint,
        durability=durability,
    )
    if settings.wal_autocheckpoint is not None:
        checkpointer.watch(db)
    return db


def open_sequencer(
    settings: Settings, checkpointer: Checkpointer, durability: Durability, stack: AsyncExitStack
) -> Sequencer:
    """Open the event log, and mark this run in it as not yet stopped. Raises `DatabaseError`s."""
    durability.take_from_disk(settings.sequencer_db_path)
    sequencer = Sequencer(
        settings.sequencer_db_path,
        durability=durability,
        wal_autocheckpoint=settings.wal_autocheckpoint,
        checkpointer=checkpointer,
    )
    stack.push_async_callback(sequencer.close)
    # Recovery cannot finish without this mark, and retries it.
    with suppress(DatabaseFull):
        sequencer.mark_running()
    return sequencer


def open_remote_sequencer(
    settings: Settings, ctx: EventContext, durability: Durability
) -> RemoteSequencer:
    """Open the event log in a worker, which does not write it. Raises `DatabaseError`s."""
    return RemoteSequencer(
        settings.sequencer_db_path,
        send=partial(append_events, ctx),
        follow=partial(send_frames_to, ctx, ctx.peers.number),
        durability=durability,
    )


def open_retention(settings: Settings, sequencer: Sequencer) -> Retention:
    """Prepare the deletion of old events, which the caller starts."""
    days = settings.subscription.retention_days
    kept = KeptEvents(
        age_s=None if days is None else days * 86_400.0,
        size_bytes=settings.subscription.retention_bytes,
    )
    return Retention(sequencer, settings.sequencer_db_path, kept)


def bucket_location(settings: Settings) -> S3Location | None:
    """Return where the bucket of blobs is; None if blobs are on disk."""
    blobstore = settings.blobstore
    if not blobstore.s3_bucket:
        return None
    return S3Location(
        bucket=blobstore.s3_bucket,
        region=blobstore.s3_region,
        endpoint=blobstore.s3_endpoint,
        force_path_style=blobstore.s3_force_path_style,
        access_key_id=blobstore.s3_access_key_id,
        secret_access_key=blobstore.s3_secret_access_key,
        upload_timeout_ms=blobstore.s3_upload_timeout_ms,
        request_timeout_ms=blobstore.s3_request_timeout_ms,
    )


def open_bucket(settings: Settings, *, cdn_url: str | None) -> S3Bucket | None:
    """Open the bucket of blobs, if they are on S3. Nothing is sent yet: S3 may be down.

    The store that is opened in it closes it.
    """
    location = bucket_location(settings)
    return None if location is None else S3Bucket(location, cdn_url=cdn_url)


def open_blob_homes(
    settings: Settings,
    bucket: S3Bucket | None,
    *,
    on_disk: Callable[[Path], T],
    on_s3: Callable[[S3Bucket], T],
) -> tuple[T, T | None]:
    """Open a store where blobs are, and during a move another where they have been.

    Raises `ConfigError` if there is no place for them.
    """
    opened: list[T] = []
    for home in settings.blob_homes:
        if home == "s3" and bucket is not None:
            opened.append(on_s3(bucket))
        elif settings.blob_directory is not None:
            opened.append(on_disk(settings.blob_directory))
    if not opened:
        raise ConfigError(["There is no place for blobs: set PDS_BLOBSTORE_DISK_LOCATION"])
    return opened[0], opened[1] if len(opened) > 1 else None


def syncs_blobs(settings: Settings) -> bool:
    """Whether files of blobs are synced before they count as stored."""
    # A move deletes the other copy, so that what it has written must survive a power cut.
    return settings.is_durable or settings.blobstore.move_to == "disk"


def open_blob_store(
    settings: Settings, bucket: S3Bucket | None, open_files: OpenFiles, stack: AsyncExitStack
) -> MovableStore | MovingBlobStore:
    """Open where blobs are, which is two places during a move. Raises `ConfigError`."""

    def on_disk(directory: Path) -> MovableStore:
        return DiskBlobStore(
            directory,
            settings.blob_tmp_directory,
            full_sync=syncs_blobs(settings),
            files=open_files,
        )

    new, old = open_blob_homes(settings, bucket, on_disk=on_disk, on_s3=S3BlobStore)
    blob_store = new if old is None else MovingBlobStore(new, old)
    stack.push_async_callback(blob_store.close)
    return blob_store


def open_blob_links(settings: Settings, bucket: S3Bucket | None) -> BlobLinks | None:
    """Open what redirects downloads to S3 or a CDN; None if the server sends blobs itself."""
    blobstore = settings.blobstore
    # What moves to disk leaves the bucket before its links end.
    if bucket is None or blobstore.s3_redirect == "none" or blobstore.move_to == "disk":
        return None
    return BlobLinks(bucket)


def open_actor_store(
    settings: Settings,
    accounts: AccountRegister,
    blob_store: BlobStore,
    tid_clock: TidClock,
    open_files: OpenFiles,
    durability: Durability,
    stack: AsyncExitStack,
) -> ActorStore:
    """Open the directory of actors, whose quotas are those of `accounts`."""
    actor_store = ActorStore(
        layout=ActorLayout(settings.actors_directory),
        blob_store=blob_store,
        clock=tid_clock,
        settings=StoreSettings(
            max_open=settings.database.actor_store_cache_size,
            durability=durability,
            wal_autocheckpoint=settings.wal_autocheckpoint,
        ),
        files=open_files,
        find_quota=partial(
            accounts.quotas.limit_of, default_bytes=settings.service.account_quota_bytes
        ),
    )
    stack.push_async_callback(actor_store.close)
    return actor_store


def open_did_cache(settings: Settings, stack: AsyncExitStack) -> DidCache:
    """Open the cache of DID documents."""
    cache = DidCache.open(
        settings.did_cache_db_path, wal_autocheckpoint=settings.wal_autocheckpoint
    )
    stack.callback(cache.close)
    return cache
