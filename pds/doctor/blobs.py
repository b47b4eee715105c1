"""Blobs of one actor: whether the bytes of every permanent row exist and match its CID."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from database.connection import Database
from pds.doctor.finding import Finding
from pds.reporting import Sample, counted
from repo.cid import Cid, InvalidCid

CHECK: Final = "blobs"
_QUARANTINE: Final = "quarantine"
_ROWS: Final = "SELECT cid, size, takedownRef FROM blob WHERE tempKey IS NULL ORDER BY cid"
_NEVER_UPLOADED: Final = (
    "SELECT DISTINCT blobCid FROM record_blob"
    " WHERE NOT EXISTS (SELECT 1 FROM blob WHERE blob.cid = record_blob.blobCid)"
)


@dataclass(slots=True, frozen=True)
class BlobCheck:
    """The number of permanent blobs, and the findings."""

    count: int
    findings: tuple[Finding, ...]


@dataclass(slots=True, frozen=True)
class BlobRow:
    """What an actor's database says of a permanent blob."""

    cid: str
    size: int
    is_taken_down: bool


@dataclass(slots=True)
class BlobFaults:
    """The blobs of one actor whose bytes are not what the rows say; false if there are none."""

    missing: Sample = field(default_factory=Sample)
    resized: Sample = field(default_factory=Sample)
    changed: Sample = field(default_factory=Sample)
    unreadable: Sample = field(default_factory=Sample)

    def __bool__(self) -> bool:
        return any((self.missing, self.resized, self.changed, self.unreadable))


def read_rows(db: Database) -> list[BlobRow]:
    """Return every permanent blob, by CID."""
    return [BlobRow(cid, size, ref is not None) for cid, size, ref in db.iter(_ROWS)]


def check_blobs(db: Database, did: str, blobs: Path | None, *, rehash: bool) -> BlobCheck:
    """Find the file of every permanent blob, compare its size and, with `rehash`, its bytes.

    `blobs` is the directory of all blobs; None if they are not on this disk, which leaves the
    question of what was never uploaded.
    """
    if blobs is None:
        return BlobCheck(0, tuple(_never_uploaded(db)))
    faults = BlobFaults()
    count = 0
    for text, size, takedown_ref in db.iter(_ROWS):
        count += 1
        _check_file(
            _file_of(blobs, did, text, quarantined=takedown_ref is not None),
            text,
            size=size,
            rehash=rehash,
            faults=faults,
        )
    return BlobCheck(count, (*findings(blobs / did, faults), *_never_uploaded(db)))


def _file_of(blobs: Path, did: str, text: str, *, quarantined: bool) -> Path:
    path = blobs / did / text
    moved = blobs / _QUARANTINE / did / text
    return moved if quarantined and moved.exists() else path


def _check_file(path: Path, text: str, *, size: int, rehash: bool, faults: BlobFaults) -> None:
    try:
        found = path.stat().st_size
        if found != size:
            faults.resized.add(f"{text} ({found} bytes instead of {size})")
        elif rehash and not _hashes_to(path, text):
            faults.changed.add(text)
    except FileNotFoundError:
        faults.missing.add(text)
    except OSError as exc:
        faults.unreadable.add(f"{text} ({exc.strerror})")


def _hashes_to(path: Path, text: str) -> bool:
    with path.open("rb") as file:
        return is_content_of(hashlib.file_digest(file, "sha256").digest(), text)


def is_content_of(digest: bytes, text: str) -> bool:
    """Whether bytes with this SHA-256 are those of a CID."""
    try:
        return Cid.parse(text) == Cid.of_raw_digest(digest)
    except InvalidCid:
        return False


def findings(directory: Path | str, faults: BlobFaults) -> list[Finding]:
    """Return a finding for each kind of fault. `directory` is where the actor's blobs are."""
    again = (
        f"Restore the files in {directory} from a backup. The account's owner can also upload "
        "the same file once more."
    )
    access = f"Give {directory} and its files to the user that runs pds."
    kinds = (
        (faults.missing, "missing, so records show nothing in their place", again),
        (faults.resized, "cut off or overwritten", again),
        (faults.changed, "not what the CID says", again),
        (faults.unreadable, "unreadable", access),
    )
    return [
        Finding.error(
            CHECK, directory, f"{counted(sample.count, 'blob file')} {text}: {sample}", remedy
        )
        for sample, text, remedy in kinds
        if sample
    ]


def _never_uploaded(db: Database) -> list[Finding]:
    sample = Sample()
    sample.update(cid for (cid,) in db.iter(_NEVER_UPLOADED))
    if not sample:
        return []
    return [
        Finding.warning(
            CHECK,
            db.path,
            f"records refer to {counted(sample.count, 'blob')} never uploaded here: {sample}",
            "Usual while an account moves in: its owner's tool uploads what "
            "com.atproto.repo.listMissingBlobs names.",
        )
    ]
