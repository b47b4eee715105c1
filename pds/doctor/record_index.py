"""Comparison of the index of records (`record`) with the tree: two sorted streams, merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import libipld

from database.connection import Database
from pds.disk.remedies import restore_database
from pds.doctor.finding import Finding
from pds.reporting import Sample, counted

CHECK: Final = "record index"
# URIs of one actor sort like the keys of the tree: by bytes.
_ROWS: Final = (
    "SELECT record.uri, record.cid, collection, rkey, repo_block.cid IS NOT NULL FROM record"
    " LEFT JOIN repo_block ON repo_block.cid = record.cid ORDER BY record.uri"
)


@dataclass(slots=True)
class IndexDifferences:
    """The differences between index and tree, by record key."""

    records: int = 0
    """Records of the tree."""
    not_indexed: Sample = field(default_factory=Sample)
    """In the tree, not in the index."""
    not_in_tree: Sample = field(default_factory=Sample)
    """In the index, not in the tree."""
    other_version: Sample = field(default_factory=Sample)
    """In both, with different CIDs."""
    no_block: Sample = field(default_factory=Sample)
    """In both, but without the record's block."""
    misnamed: Sample = field(default_factory=Sample)
    """Rows whose collection or rkey differs from the URI."""

    def findings(self, db: Database) -> list[Finding]:
        """Return a finding for each kind of difference."""
        kinds = (
            (self.not_indexed, "in the tree but not in the index, so nobody can read"),
            (self.not_in_tree, "in the index but not in the tree, so not part of the repository"),
            (self.other_version, "in the index with another version than in the tree"),
            (self.no_block, "listed, but the block that holds it is missing"),
            (self.misnamed, "in the index under another collection or key than the URI says"),
        )
        return [
            Finding.error(
                CHECK,
                db.path,
                f"{counted(sample.count, 'record')} {text}: {sample}",
                restore_database(db.path),
            )
            for sample, text in kinds
            if sample
        ]


def compare_index(db: Database, did: str, tree: Iterator[tuple[bytes, bytes]]) -> IndexDifferences:
    """Compare the rows of `record` with the tree's keys and binary CIDs, both in ascending order.

    Raises what iterating over `tree` raises.
    """
    found = IndexDifferences()
    rows = _indexed(db, f"at://{did}/", found)
    row = next(rows, None)
    for key, value in tree:
        found.records += 1
        name = key.decode()
        # Compare as bytes, which is the order of the tree and of SQLite.
        while row is not None and row[0] < key:
            found.not_in_tree.add(row[0].decode())
            row = next(rows, None)
        if row is None or row[0] != key:
            found.not_indexed.add(name)
            continue
        _, cid, has_block = row
        if cid != libipld.encode_multibase("b", value):
            found.other_version.add(name)
        elif not has_block:
            found.no_block.add(name)
        row = next(rows, None)
    while row is not None:
        found.not_in_tree.add(row[0].decode())
        row = next(rows, None)
    return found


def _indexed(db: Database, base: str, found: IndexDifferences) -> Iterator[tuple[bytes, str, bool]]:
    """Yield key, CID and whether the block exists for each of this actor's rows."""
    for uri, cid, collection, rkey, has_block in db.iter(_ROWS):
        if not uri.startswith(base):
            found.not_in_tree.add(uri)
            continue
        key = uri[len(base) :]
        if key != f"{collection}/{rkey}":
            found.misnamed.add(key)
        yield key.encode(), cid, bool(has_block)
