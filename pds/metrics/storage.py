"""Metrics of files: databases, blobs, disks."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from pds.config import Settings
from pds.disk.survey import Survey
from pds.disk.usage import find_disks, measure_services
from pds.metrics.families import gauge, gauges


def storage_families(settings: Settings, survey: Survey | None) -> Iterator[Metric]:
    """Collect sizes: actors and blobs from `survey`, others from the system, so in a thread."""
    databases = measure_services(settings)
    if survey is not None:
        databases["actors"] = survey.totals.actor_stores
    yield gauges(
        "database_bytes",
        "Size of databases without their WALs; of actors as of some minutes ago.",
        "database",
        {name: one.size_bytes for name, one in databases.items()},
    )
    yield gauges(
        "wal_bytes",
        "Size of WALs; of actors as of some minutes ago.",
        "database",
        {name: one.wal_bytes for name, one in databases.items()},
    )
    if survey is not None:
        yield from _survey_families(survey)
    disks = {str(disk.directory): disk for disk in find_disks(settings)}
    yield gauges(
        "disk_free_bytes",
        "Free space on the disk of a directory.",
        "directory",
        {name: disk.free_bytes for name, disk in disks.items()},
    )
    yield gauges(
        "disk_total_bytes",
        "Size of the disk of a directory.",
        "directory",
        {name: disk.total_bytes for name, disk in disks.items()},
    )


def _survey_families(survey: Survey) -> Iterator[Metric]:
    totals = survey.totals
    yield gauge("actor_stores", "Actor stores on disk.", totals.actor_stores.count)
    if totals.blobs is None or totals.uploads is None:
        return
    states = {"permanent": totals.blobs, "temporary": totals.uploads}
    yield gauges(
        "blobs",
        "Files of blobs; temporary ones are uploads that no record refers to.",
        "state",
        {state: files.count for state, files in states.items()},
    )
    yield gauges(
        "blob_bytes",
        "Size of blobs.",
        "state",
        {state: files.size_bytes for state, files in states.items()},
    )
