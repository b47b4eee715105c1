"""Blocks of one repo: whether each hashes to its CID, and none is left over."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

import libipld

from database.connection import Database
from pds.disk.remedies import restore_database
from pds.doctor.finding import Finding
from pds.reporting import Sample, counted
from repo.cid import BLESSED_LENGTH, Cid

BLOCKS: Final = "blocks"
STRAY_BLOCKS: Final = "stray blocks"
_DAG_CBOR_PREFIX: Final = Cid.of_dag_cbor(b"").raw[:4]
_BATCH_ROWS: Final = 512
_ROLE: Final = (
    "SELECT CASE WHEN EXISTS (SELECT 1 FROM repo_root WHERE cid = ?1) THEN 'the current commit'"
    " ELSE (SELECT 'record ' || uri FROM record WHERE cid = ?1) END"
)
# Records have an index by CID; any other block is the commit, a node of the tree, or left over.
_NOT_RECORDS: Final = (
    "SELECT cid FROM repo_block"
    " WHERE NOT EXISTS (SELECT 1 FROM record WHERE record.cid = repo_block.cid)"
)


@dataclass(slots=True, frozen=True)
class BlockScan:
    """All blocks, read once."""

    count: int
    damaged: frozenset[str]
    """CIDs of the blocks that do not match their CIDs."""
    findings: tuple[Finding, ...]


def scan_blocks(db: Database) -> BlockScan:
    """Hash every block and compare it with its CID."""
    count = 0
    damaged: list[str] = []
    rows = db.iter_batches("SELECT cid, size, content FROM repo_block", rows=_BATCH_ROWS)
    for batch in rows:
        count += len(batch)
        damaged += [cid for cid, size, block in batch if not _is_sound(cid, size, block)]
    sample = Sample()
    sample.update(f"{cid} ({_role(db, cid)})" for cid in damaged)
    findings = () if not damaged else (_damaged(db, sample),)
    return BlockScan(count, frozenset(damaged), findings)


def find_strays(db: Database, head: str, nodes: Container[bytes]) -> Finding | None:
    """Find blocks that are neither the commit `head`, nor a node of its tree, nor a record.

    `nodes` has the binary CIDs of the tree's nodes.
    """
    sample = Sample()
    size = 0
    for (cid,) in db.iter(_NOT_RECORDS):
        if cid != head and libipld.decode_multibase(cid)[1] not in nodes:
            sample.add(cid)
            size += int(db.value("SELECT size FROM repo_block WHERE cid = ?", (cid,)) or 0)
    if not sample:
        return None
    return Finding.warning(
        STRAY_BLOCKS,
        db.path,
        f"{counted(sample.count, 'block')} of {size:,} bytes belong to no record, tree or commit: "
        f"{sample}",
        "Nothing is lost, and nothing needs to be done: they take room here and in exports.",
    )


def _is_sound(text: str, size: int, block: bytes) -> bool:
    try:
        raw = libipld.decode_multibase(text)[1]
    except (ValueError, TypeError):
        return False
    return (
        len(raw) == BLESSED_LENGTH
        and raw.startswith(_DAG_CBOR_PREFIX)
        and type(block) is bytes
        and hashlib.sha256(block).digest() == raw[4:]
        and len(block) == size
    )


def _role(db: Database, cid: str) -> str:
    return str(db.value(_ROLE, (cid,)) or "a node of the tree, or nothing")


def _damaged(db: Database, sample: Sample) -> Finding:
    fault = "is" if sample.count == 1 else "are"
    message = f"{counted(sample.count, 'block')} {fault} not what the CID says: {sample}"
    return Finding.error(BLOCKS, db.path, message, restore_database(db.path))
