"""The room that the whole server takes: databases, blobs, and what is left on their disks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from actor_store.layout import ActorLayout
from pds.config import Settings
from pds.disk.sizes import (
    DatabaseTotals,
    FileTotals,
    ShouldStop,
    measure_actor_stores,
    measure_database,
    measure_tree,
)


@dataclass(slots=True, frozen=True)
class ActorsAndBlobs:
    """What takes long to measure, for there is a file for each."""

    actor_stores: DatabaseTotals
    blobs: FileTotals
    """Permanent ones and those in quarantine. None are known of a bucket."""
    uploads: FileTotals
    """Temporary ones, which no record refers to."""


@dataclass(slots=True, frozen=True)
class Disk:
    """A file system, and how much room it has."""

    directory: Path
    """Of the server, on this disk."""
    total_bytes: int
    free_bytes: int
    """That the user of the server may fill."""


def measure_services(settings: Settings) -> dict[str, DatabaseTotals]:
    """The databases that the server has one of, by name. Takes microseconds."""
    return {
        "account": measure_database(settings.account_db_path),
        "sequencer": measure_database(settings.sequencer_db_path),
        "did_cache": measure_database(settings.did_cache_db_path),
    }


def measure_actors_and_blobs(settings: Settings, should_stop: ShouldStop) -> ActorsAndBlobs:
    """All actor stores and blobs: for a thread. Raises `MeasuringStopped`."""
    blobs, uploads = settings.blob_directory, settings.blob_tmp_directory
    return ActorsAndBlobs(
        measure_actor_stores(ActorLayout(settings.actors_directory), should_stop),
        FileTotals() if blobs is None else measure_tree(blobs, should_stop, without=uploads),
        FileTotals() if uploads is None else measure_tree(uploads, should_stop),
    )


def find_disks(settings: Settings) -> list[Disk]:
    """The disks that the server writes to, each once. Those it cannot reach are left out."""
    wanted = (settings.data_directory, settings.actors_directory, settings.blob_directory)
    disks: dict[int, Disk] = {}
    for directory in wanted:
        if directory is None:
            continue
        try:
            device, space = directory.stat().st_dev, os.statvfs(directory)
        except OSError:
            continue
        disks.setdefault(
            device,
            Disk(directory, space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize),
        )
    return list(disks.values())
