"""Disk usage of the whole server: databases, blobs, and the free space on their disks."""

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
    """Sizes that take long to measure, because each actor and blob has its own file."""

    actor_stores: DatabaseTotals
    blobs: FileTotals | None
    """Permanent and quarantined blobs on disk; None if they are in S3, which is not listed."""
    uploads: FileTotals | None
    """Temporary blobs, which no record refers to; None likewise."""


@dataclass(slots=True, frozen=True)
class Disk:
    """A file system and its space."""

    directory: Path
    """A directory of the server on this disk."""
    total_bytes: int
    free_bytes: int
    """Space available to the server's user."""


def measure_services(settings: Settings) -> dict[str, DatabaseTotals]:
    """Measure the databases that exist once per server, by name. Takes microseconds."""
    return {
        "account": measure_database(settings.account_db_path),
        "sequencer": measure_database(settings.sequencer_db_path),
        "did_cache": measure_database(settings.did_cache_db_path),
    }


def measure_actors_and_blobs(settings: Settings, should_stop: ShouldStop) -> ActorsAndBlobs:
    """Measure all actor stores and blobs. Call it in a thread. Raises `MeasuringStopped`."""
    blobs, uploads = settings.blob_directory, settings.blob_tmp_directory
    return ActorsAndBlobs(
        measure_actor_stores(ActorLayout(settings.actors_directory), should_stop),
        None if blobs is None else measure_tree(blobs, should_stop, without=uploads),
        None if uploads is None else measure_tree(uploads, should_stop),
    )


def find_disks(settings: Settings) -> list[Disk]:
    """Return the disks that the server writes to, each once, except inaccessible ones."""
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
