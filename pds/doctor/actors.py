"""Checking all actors, on as many cores as is worthwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from pds.doctor.actor import ActorFiles, ActorReport, check_actor
from pds.doctor.finding import Finding
from pds.doctor.signing_key import CHECK as SIGNING_KEY
from pds.reporting import Sample, counted

CHECK: Final = "repositories"
_WORTH_PROCESSES_BYTES: Final = 64 * 1024 * 1024
"""Database size that takes about two seconds; starting a process takes half a second."""
_CHUNK: Final = 4
"""Actors handed to a process at a time."""


def check_actors(actors: Sequence[ActorFiles], *, processes: int) -> Iterator[ActorReport]:
    """Check every actor, in order. A process holds one batch of one actor's rows at a time."""
    if processes <= 1 or len(actors) <= 1:
        yield from map(check_actor, actors)
        return
    # Spawned, not forked, so as not to inherit this process's threads and open files.
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_ignore_interrupts
    ) as pool:
        try:
            yield from pool.map(check_actor, actors, chunksize=_CHUNK)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def count_processes(actors: Sequence[ActorFiles]) -> int:
    """Return how many processes are worthwhile for these actors."""
    size = sum(_size_bytes(files.store) for files in actors)
    if size < _WORTH_PROCESSES_BYTES:
        return 1
    return min(len(os.sched_getaffinity(0)), len(actors))


def summarize(
    reports: Sequence[ActorReport], actors_dir: Path, *, blobs_rehashed: bool
) -> list[Finding]:
    """Return the findings on all actors together."""
    findings = _exposed_keys(reports, actors_dir)
    sound = [report for report in reports if report.is_sound]
    if not reports:
        return [Finding.skipped(CHECK, actors_dir, "there are none yet")]
    if not sound:
        return findings
    message = (
        f"{len(sound):,} of {len(reports):,} sound: "
        f"{counted(sum(report.records for report in sound), 'record')} in "
        f"{counted(sum(report.blocks for report in sound), 'block')}"
    )
    blobs = sum(report.blobs for report in sound)
    if blobs:
        how = "bytes" if blobs_rehashed else "sizes; --blobs reads them"
        message += f", {counted(blobs, 'blob')} ({how})"
    return [*findings, Finding.ok(CHECK, actors_dir, message)]


def _exposed_keys(reports: Sequence[ActorReport], actors_dir: Path) -> list[Finding]:
    exposed = Sample()
    exposed.update(report.did for report in reports if report.key_is_exposed)
    if not exposed:
        return []
    return [
        Finding.warning(
            SIGNING_KEY,
            actors_dir,
            f"any user of this machine can read {counted(exposed.count, 'key file')}: {exposed}",
            f"Close the directory to others: chmod o-rwx {actors_dir}",
        )
    ]


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _ignore_interrupts() -> None:
    # Ctrl-C reaches every process of the terminal; the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
