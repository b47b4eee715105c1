"""Replicas that the real Litestream has written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.pds.replication.real_litestream import Litestream, in_directory, running_litestream


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    """The directory of the replica."""
    return tmp_path / "replica"


@pytest.fixture
def litestream(replica: Path) -> Iterator[Litestream]:
    """A daemon that replicates into the directory `replica`."""
    with running_litestream(in_directory(replica)) as daemon:
        yield daemon


class Database:
    """A database that changes in every way a database can, and is replicated each time."""

    def __init__(self, path: Path, litestream: Litestream, *, page_bytes: int = 4096) -> None:
        self.path = path
        self.name = path.name
        self._litestream = litestream
        self._random = random.Random(page_bytes)
        self.db = apsw.Connection(str(path))
        self.db.execute(f"PRAGMA page_size = {page_bytes}")
        self.db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self.run("PRAGMA journal_mode = WAL")
        self.run("PRAGMA wal_autocheckpoint = 0")
        self.db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB) STRICT")

    def insert(self, rows: int, size: int = 300) -> None:
        with self.db:
            self.db.executemany(
                "INSERT INTO t (v) VALUES (?)",
                [(self._random.randbytes(size // 2) + bytes(size // 2),) for _ in range(rows)],
            )

    def delete(self, share: float) -> None:
        self.db.execute("DELETE FROM t WHERE id % 100 < ?", (share * 100,))

    def run(self, sql: str) -> None:
        self.db.execute(sql).fetchall()

    def sync(self) -> int:
        return self._litestream.sync(self.path, self.name)

    @property
    def url(self) -> str:
        return self._litestream.url(self.name)

    def live_through_much(self) -> None:
        """Growth, changes, deletions, both kinds of vacuum and checkpoints, in 20 transactions."""
        self.sync()
        for n in range(4):
            self.insert(200, 500 * (n + 1))
            self.sync()
            self.delete(0.1)
            self.sync()
        self.delete(0.6)
        self.sync()
        self.run("PRAGMA incremental_vacuum(40)")
        self.sync()
        self.insert(50)
        self.sync()
        self.run("VACUUM")
        self.sync()
        self.run("PRAGMA wal_checkpoint(PASSIVE)")
        self.insert(300)
        self.sync()
        for _ in range(5):
            self.insert(3)
            self.sync()
