"""Opening the files of a server: its databases, its actors and its blobs, as the settings say.

A `stack` that is handed in closes what is opened.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from functools import partial

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
from database.errors import DatabaseFull
from database.open_files import OpenFiles
from identity.did_cache import DidCache
from pds.accounts.register import AccountRegister
from pds.accounts.schema import open_account_database
from pds.config import ConfigError, Settings
from repo.tid import TidClock
from sequencer.sequencer import Sequencer


def open_accounts(settings: Settings, checkpointer: Checkpointer) -> Database:
    """Open the service database. Raises `DatabaseError`s."""
    db = open_account_database(
        settings.account_db_path,
        synchronous=settings.synchronous,
        wal_autocheckpoint=settings.wal_autocheckpoint,
    )
    if settings.wal_autocheckpoint is not None:
        checkpointer.watch(db)
    return db


def open_sequencer(
    settings: Settings, checkpointer: Checkpointer, stack: AsyncExitStack
) -> Sequencer:
    """Open the event log, and mark this run in it as not yet stopped. Raises `DatabaseError`s."""
    sequencer = Sequencer(
        settings.sequencer_db_path,
        synchronous=settings.synchronous,
        wal_autocheckpoint=settings.wal_autocheckpoint,
        checkpointer=checkpointer,
    )
    stack.push_async_callback(sequencer.close)
    # Recovery cannot finish without this mark, and retries it.
    with suppress(DatabaseFull):
        sequencer.mark_running()
    return sequencer


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


def open_bucket(settings: Settings, stack: AsyncExitStack) -> S3Bucket | None:
    """Open the bucket of blobs, if they are on S3. Nothing is sent yet: S3 may be down."""
    location = bucket_location(settings)
    if location is None:
        return None
    bucket = S3Bucket(location, cdn_url=settings.blobstore.cdn_url)
    stack.push_async_callback(bucket.close)
    return bucket


def open_blob_store(
    settings: Settings, bucket: S3Bucket | None, open_files: OpenFiles, stack: AsyncExitStack
) -> MovableStore | MovingBlobStore:
    """Open where blobs are, which is two places during a move. Raises `ConfigError`."""
    stores = [_open_blob_home(home, settings, bucket, open_files) for home in settings.blob_homes]
    blob_store = stores[0] if len(stores) == 1 else MovingBlobStore(new=stores[0], old=stores[1])
    stack.push_async_callback(blob_store.close)
    return blob_store


def _open_blob_home(
    home: str, settings: Settings, bucket: S3Bucket | None, open_files: OpenFiles
) -> MovableStore:
    directory = settings.blob_directory
    if home == "s3" and bucket is not None:
        return S3BlobStore(bucket)
    if directory is None:
        raise ConfigError(["There is no place for blobs: set PDS_BLOBSTORE_DISK_LOCATION"])
    is_moved_to = settings.blobstore.move_to == "disk"
    return DiskBlobStore(
        directory,
        settings.blob_tmp_directory,
        # A move deletes the other copy, so that what it has written must survive a power cut.
        full_sync=settings.synchronous == "FULL" or is_moved_to,
        files=open_files,
    )


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
    stack: AsyncExitStack,
) -> ActorStore:
    """Open the directory of actors, whose quotas are those of `accounts`."""
    actor_store = ActorStore(
        layout=ActorLayout(settings.actors_directory),
        blob_store=blob_store,
        clock=tid_clock,
        settings=StoreSettings(
            max_open=settings.database.actor_store_cache_size,
            synchronous=settings.synchronous,
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
