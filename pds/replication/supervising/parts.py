"""The parts of a supervisor, wired together."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actor_store.layout import ActorLayout
from database.errors import DatabaseError
from pds.replication.changes.watcher import Watcher
from pds.replication.compacting.compactions import Compactions
from pds.replication.copies.blob_rows import BlobRows
from pds.replication.copies.blobs import BlobCopier
from pds.replication.copies.key_files import KeyFiles
from pds.replication.copies.key_rows import KeyRows
from pds.replication.copies.keys import KeyCopier
from pds.replication.copies.sealing import KeySealer
from pds.replication.litestream.config import actors_config, services_config
from pds.replication.litestream.daemon import Bounds, LitestreamDaemon
from pds.replication.supervising.services import MAX_BACKOFF_S, ServiceDatabase, ServiceDatabases
from pds.replication.syncing.actors import APART_MS, Actors
from pds.replication.syncing.deletions import Deletions
from pds.replication.syncing.dirty_queue import DirtyQueue
from pds.replication.syncing.hot_set import HotSet
from pds.replication.syncing.open_actors import OpenActors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pds.replication.ledger.ledger import Ledger
    from pds.replication.litestream.program import Program
    from pds.replication.options import ReplicationOptions
    from pds.replication.replica.lease import Lease
    from pds.replication.replica.manifest import Manifest
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.supervising.services import OnSynced

_DAY_S: Final = 86_400.0
_FILES_EACH: Final = 6
"""Files of a database that Litestream has open, and its connection to S3."""
_SPARE_FILES: Final = 2_000
"""Connections of databases that are closed by now, which it keeps for a while."""


@dataclass(frozen=True, slots=True)
class Daemons:
    """The two Litestream processes."""

    services: LitestreamDaemon
    actors: LitestreamDaemon


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs while a server is replicated."""

    daemons: Daemons
    services: ServiceDatabases
    queue: DirtyQueue
    hot: HotSet
    opened: OpenActors
    actors: Actors
    watcher: Watcher
    keys: KeyCopier
    blobs: BlobCopier | None
    """None if blobs are in S3."""
    compactions: Compactions
    deletions: Deletions
    is_reachable: Callable[[], bool]
    """Whether the replica takes what is sent."""


def make_parts(
    options: ReplicationOptions,
    *,
    program: Program,
    place: ReplicaPlace,
    ledger: Ledger,
    lease: Lease,
    manifest: Manifest,
    url_of: Callable[[str], str],
) -> Parts:
    """Wire the parts together; none of them runs yet.

    `url_of` returns the URL by which Litestream reaches a database of the replica.
    """
    retention_s = options.retention_days * _DAY_S
    layout = ActorLayout(options.actors_directory)
    daemons = Daemons(
        LitestreamDaemon(
            services_config(retention_days=max(1, round(options.retention_days))), program=program
        ),
        LitestreamDaemon(
            actors_config(),
            program=program,
            concurrency=options.concurrency * 2,
            bounds=Bounds(open_files=_SPARE_FILES + _FILES_EACH * options.hot_set),
        ),
    )
    services = ServiceDatabases(
        daemons.services.client,
        _service_databases(options),
        url_of=url_of,
        interval_s=options.services_every_s,
        longest_pause_s=min(MAX_BACKOFF_S, options.longest_pause_s),
        on_synced=_note_in(ledger, but={options.ledger_db.name, options.did_cache_db.name}),
    )
    hot = HotSet(options.hot_set, clock=time.monotonic)
    queue = DirtyQueue(ledger, earliest_ms=_earliest_in(hot))
    opened = OpenActors(
        layout=layout,
        hot=hot,
        queue=queue,
        client=daemons.actors.client,
        url_of=url_of,
        sync_s=options.sync_s,
    )
    daemons.services.on_restart = services.register_again
    daemons.actors.on_restart = opened.lose_all
    keys = KeyCopier(
        KeyFiles(layout, options.data_directory),
        KeyRows(ledger.db),
        place,
        KeySealer(manifest.key_sealing),
        recipient=manifest.recipient,
        retention_s=retention_s,
    )
    blobs = None
    if options.blob_directory is not None:
        rows = BlobRows(ledger.db)
        blobs = BlobCopier(options.blob_directory, rows, place, retention_s=retention_s)

    def may_write() -> bool:
        # A renewal that fails is the first sign of an outage: Litestream's own requests to a
        # server that does not answer take minutes to fail.
        return lease.is_held and lease.last_error is None

    actors = Actors(
        layout=layout,
        queue=queue,
        opened=opened,
        copy_key=keys.copy_key,
        on_synced=_ignore if blobs is None else blobs.notice,
        may_write=may_write,
        on_outage=lease.renew_soon,
        concurrency=options.concurrency,
        idle_s=options.idle_s,
        longest_pause_s=options.longest_pause_s,
    )

    def is_reachable() -> bool:
        return may_write() and not actors.outage.is_on

    return Parts(
        daemons=daemons,
        services=services,
        queue=queue,
        hot=hot,
        opened=opened,
        actors=actors,
        watcher=Watcher(
            log=options.sequencer_db,
            actors_directory=options.actors_directory,
            ledger=ledger,
            queue=queue,
            hot=hot,
            poll_s=options.poll_s,
            sweep_interval_s=options.sweep_interval_s,
        ),
        keys=keys,
        blobs=blobs,
        compactions=Compactions(
            ledger=ledger,
            place=place,
            opened=opened,
            queue=queue,
            retention_s=retention_s,
            may_write=is_reachable,
        ),
        deletions=Deletions(layout, ledger, place, retention_s=retention_s),
        is_reachable=is_reachable,
    )


def _service_databases(options: ReplicationOptions) -> Sequence[ServiceDatabase]:
    return (
        ServiceDatabase("account.sqlite", options.account_db),
        ServiceDatabase("sequencer.sqlite", options.sequencer_db),
        ServiceDatabase("did_cache.sqlite", options.did_cache_db, is_optional=True),
        ServiceDatabase("hold.sqlite", options.hold_db, is_optional=True),
        ServiceDatabase(options.ledger_db.name, options.ledger_db),
    )


def _note_in(ledger: Ledger, *, but: Collection[str]) -> OnSynced:
    """Return what notes databases for standbys, except the ledger itself and what none needs."""

    async def note(name: str, txid: int) -> None:
        if name not in but:
            # Without it, a standby notices a few seconds later.
            with suppress(DatabaseError):
                await ledger.write(lambda: ledger.services.note(name, txid))

    return note


def _earliest_in(hot: HotSet) -> Callable[[str], int]:
    """Return the function that says from when on an actor may be synced, in Unix milliseconds."""

    def earliest_ms(did: str) -> int:
        actor = hot.get(did)
        # A clock that was set back must not hold up anybody.
        latest = int(time.time() * 1000) + APART_MS
        return 0 if actor is None else min(actor.synced_ms + APART_MS, latest)

    return earliest_ms


def _ignore(_: str) -> None:
    return None
