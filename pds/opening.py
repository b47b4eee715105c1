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


def open_blob_store(
    settings: Settings, open_files: OpenFiles, stack: AsyncExitStack
) -> MovableStore | MovingBlobStore:
    """Open where blobs are, which is two places during a move. Raises `ConfigError`."""
    stores = [_open_blob_home(home, settings, open_files) for home in settings.blob_homes]
    blob_store = stores[0] if len(stores) == 1 else MovingBlobStore(new=stores[0], old=stores[1])
    stack.push_async_callback(blob_store.close)
    return blob_store


def _open_blob_home(home: str, settings: Settings, open_files: OpenFiles) -> MovableStore:
    directory = settings.blob_directory
    if home == "s3" or directory is None:
        problem = (
            "PDS_BLOBSTORE_S3_BUCKET is set, but blobs are kept on disk only: unset it, copy the "
            "blobs into a directory and set PDS_BLOBSTORE_DISK_LOCATION to that"
        )
        raise ConfigError([problem])
    is_moved_to = settings.blobstore.move_to == "disk"
    return DiskBlobStore(
        directory,
        settings.blob_tmp_directory,
        # A move deletes the other copy, so that what it has written must survive a power cut.
        full_sync=settings.synchronous == "FULL" or is_moved_to,
        files=open_files,
    )


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
