"""The parts of a supervisor, wired together."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

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
from pds.replication.syncing.actors import Actors
from pds.replication.syncing.deletions import Deletions
from pds.replication.syncing.dirty_queue import DirtyQueue
from pds.replication.syncing.hot_set import HotSet
from pds.replication.syncing.open_actors import OpenActors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pds.replication.ledger.ledger import Ledger
    from pds.replication.litestream.program import Program
    from pds.replication.options import ReplicationOptions
    from pds.replication.replica.lease import Lease
    from pds.replication.replica.manifest import Manifest
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.supervising.services import OnSynced

_FILES_EACH: Final = 6
"""Files of a database that Litestream has open, and its connection to S3."""
_SPARE_FILES: Final = 2_000
"""Connections of databases that are closed by now, which it keeps for a while."""


class Daemons(NamedTuple):
    """The two Litestream processes."""

    services: LitestreamDaemon
    actors: LitestreamDaemon


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs while a server is replicated."""

    daemons: Daemons
    services: ServiceDatabases
    queue: DirtyQueue
    opened: OpenActors
    actors: Actors
    watcher: Watcher
    keys: KeyCopier
    blobs: BlobCopier | None
    """None if blobs are in S3."""
    compactions: Compactions
    deletions: Deletions


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
    layout = ActorLayout(options.actors_directory)
    daemons = _daemons(options, program)
    services = _services(options, daemons, ledger, url_of)
    hot = HotSet(options.hot_set, clock=time.monotonic)
    queue = DirtyQueue(ledger, earliest_ms=hot.earliest_ms)
    opened = _opened(options, daemons, hot, queue, url_of)
    keys = _keys(options, layout, ledger, place, manifest)
    blobs = _blobs(options, ledger, place)
    actors = Actors(
        layout=layout,
        queue=queue,
        opened=opened,
        copy_key=keys.copy_key,
        on_synced=_ignore if blobs is None else blobs.notice,
        may_write=partial(_is_sound, lease),
        on_outage=lease.renew_soon,
        concurrency=options.concurrency,
        idle_s=options.idle_s,
        longest_pause_s=options.longest_pause_s,
    )
    return Parts(
        daemons=daemons,
        services=services,
        queue=queue,
        opened=opened,
        actors=actors,
        watcher=_watcher(options, ledger, queue, hot),
        keys=keys,
        blobs=blobs,
        compactions=Compactions(
            ledger=ledger,
            place=place,
            opened=opened,
            queue=queue,
            retention_s=options.retention_s,
            may_write=actors.is_reachable,
        ),
        deletions=Deletions(layout, ledger, place, retention_s=options.retention_s),
    )


def _daemons(options: ReplicationOptions, program: Program) -> Daemons:
    services = services_config(retention_days=max(1, round(options.retention_days)))
    return Daemons(
        LitestreamDaemon(services, program=program),
        LitestreamDaemon(
            actors_config(),
            program=program,
            concurrency=options.concurrency * 2,
            bounds=Bounds(open_files=_SPARE_FILES + _FILES_EACH * options.hot_set),
        ),
    )


def _services(
    options: ReplicationOptions, daemons: Daemons, ledger: Ledger, url_of: Callable[[str], str]
) -> ServiceDatabases:
    databases = (
        ServiceDatabase("account.sqlite", options.account_db),
        ServiceDatabase("sequencer.sqlite", options.sequencer_db),
        ServiceDatabase("did_cache.sqlite", options.did_cache_db, is_optional=True),
        ServiceDatabase("hold.sqlite", options.hold_db, is_optional=True),
        ServiceDatabase(options.ledger_db.name, options.ledger_db),
    )
    services = ServiceDatabases(
        daemons.services.client,
        databases,
        url_of=url_of,
        interval_s=options.services_every_s,
        longest_pause_s=min(MAX_BACKOFF_S, options.longest_pause_s),
        on_synced=_note_in(ledger, but={options.ledger_db.name, options.did_cache_db.name}),
    )
    daemons.services.on_restart = services.register_again
    return services


def _opened(
    options: ReplicationOptions,
    daemons: Daemons,
    hot: HotSet,
    queue: DirtyQueue,
    url_of: Callable[[str], str],
) -> OpenActors:
    opened = OpenActors(
        layout=ActorLayout(options.actors_directory),
        hot=hot,
        queue=queue,
        client=daemons.actors.client,
        url_of=url_of,
        sync_s=options.sync_s,
    )
    daemons.actors.on_restart = opened.lose_all
    return opened


def _keys(
    options: ReplicationOptions,
    layout: ActorLayout,
    ledger: Ledger,
    place: ReplicaPlace,
    manifest: Manifest,
) -> KeyCopier:
    return KeyCopier(
        KeyFiles(layout, options.data_directory),
        KeyRows(ledger.db),
        place,
        KeySealer(manifest.key_sealing),
        recipient=manifest.recipient,
        retention_s=options.retention_s,
    )


def _blobs(options: ReplicationOptions, ledger: Ledger, place: ReplicaPlace) -> BlobCopier | None:
    if options.blob_directory is None:
        return None
    rows = BlobRows(ledger.db)
    return BlobCopier(options.blob_directory, rows, place, retention_s=options.retention_s)


def _watcher(
    options: ReplicationOptions, ledger: Ledger, queue: DirtyQueue, hot: HotSet
) -> Watcher:
    return Watcher(
        log=options.sequencer_db,
        actors_directory=options.actors_directory,
        ledger=ledger,
        queue=queue,
        hot=hot,
        poll_s=options.poll_s,
        sweep_interval_s=options.sweep_interval_s,
    )


def _is_sound(lease: Lease) -> bool:
    """Whether to send anything: a renewal that fails is the first sign of an outage.

    Litestream's own requests to a server that does not answer take minutes to fail.
    """
    return lease.is_held and lease.last_error is None


def _note_in(ledger: Ledger, *, but: Collection[str]) -> OnSynced:
    """Return what notes databases for standbys, except the ledger itself and what none needs."""

    async def note(name: str, txid: int) -> None:
        if name not in but:
            # Without it, a standby notices a few seconds later.
            with suppress(DatabaseError):
                await ledger.write(lambda: ledger.services.note(name, txid))

    return note


def _ignore(_: str) -> None:
    return None
