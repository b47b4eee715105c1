"""Checking one actor: the database, the key, the repo and the blobs. Works in any process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from actor_store.schema import store_migrations
from database.connection import Database
from database.errors import DatabaseError
from pds.doctor.blobs import check_blobs
from pds.doctor.database import check_database, damage
from pds.doctor.finding import Finding
from pds.doctor.inspection import examine_unchanged
from pds.doctor.repo import RepoHead, check_repo
from pds.doctor.signing_key import KeyFile, read_key_file


@dataclass(slots=True, frozen=True)
class ActorFiles:
    """The paths of an actor's files, and how thoroughly to check them."""

    did: str
    store: Path
    key: Path
    blobs: Path | None
    """The directory of all blobs; None if blobs are not on this disk."""
    rehash_blobs: bool = False
    in_service: bool = False
    """Whether a server runs; then a fault must show twice, because files change between reads."""


@dataclass(slots=True, frozen=True)
class ActorReport:
    """The result for one actor. `head` and `did_key` are None if they are unreliable."""

    did: str
    findings: tuple[Finding, ...]
    head: RepoHead | None = None
    did_key: str | None = None
    key_is_exposed: bool = False
    blocks: int = 0
    records: int = 0
    blobs: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether no finding is an error."""
        return all(finding.status != "error" for finding in self.findings)


def check_actor(files: ActorFiles) -> ActorReport:
    """Check one actor. Damage is reported as a finding, never as an exception."""
    report = _check_once(files)
    if files.in_service and not report.is_sound:
        report = _check_once(files)
    return report


def _check_once(files: ActorFiles) -> ActorReport:
    key = read_key_file(files.key)
    did_key = None if key.public is None else key.public.did_key
    try:
        return examine_unchanged(files.store, lambda db: _check_store(db, files, key))
    except DatabaseError as exc:
        findings = (*key.findings, damage(exc))
        return ActorReport(files.did, findings, None, did_key, key.is_exposed)


def _check_store(db: Database, files: ActorFiles, key: KeyFile) -> ActorReport:
    did_key = None if key.public is None else key.public.did_key
    faults = check_database(db, store_migrations())
    if faults:
        return ActorReport(files.did, (*key.findings, *faults), None, did_key, key.is_exposed)
    repo = check_repo(db, files.did, key=key.public, key_path=files.key)
    blobs = check_blobs(db, files.did, files.blobs, rehash=files.rehash_blobs)
    return ActorReport(
        files.did,
        (*key.findings, *repo.findings, *blobs.findings),
        repo.head,
        did_key,
        key.is_exposed,
        repo.blocks,
        repo.records,
        blobs.count,
    )
