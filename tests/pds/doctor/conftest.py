"""A data directory that the reference PDS has written, to be damaged and examined."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from actor_store.layout import ActorLayout
from database.connection import Database
from database.opening import open_database
from pds.doctor.examination import Options, examine
from pds.doctor.finding import Finding
from pds.doctor.report import Report
from tests.reference.data import manifest, unpack

# Commits without closing: the WAL stays behind, as after a crash.
_CRASH = """
import os, sys
from database.opening import open_database
db = open_database(__import__("pathlib").Path(sys.argv[1]), wal_autocheckpoint=None)
db.run(sys.argv[2])
os._exit(0)
"""


@dataclass
class Patient:
    """A data directory, and what `pds doctor` says of it."""

    data: Path
    accounts: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ = {
            "PDS_HOSTNAME": "localhost",
            # Any that is free.
            "PDS_PORT": "0",
            "PDS_DEV_MODE": "true",
            "PDS_DATA_DIRECTORY": str(self.data),
            "PDS_BLOBSTORE_DISK_LOCATION": str(self.data / "blobs"),
            "PDS_JWT_SECRET": "jwt-secret-of-a-patient",
            "PDS_ADMIN_PASSWORD": "admin-pass-of-a-patient",
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
            **self.environ,
        }

    @property
    def layout(self) -> ActorLayout:
        return ActorLayout(self.data / "actors")

    @property
    def account_db(self) -> Path:
        return self.data / "account.sqlite"

    @property
    def log(self) -> Path:
        return self.data / "sequencer.sqlite"

    def did(self, name: str) -> str:
        """The DID of alice, bob, carol, dan, eve or frank."""
        return str(self.accounts[name]["did"])

    def store(self, name: str) -> Path:
        return self.layout.store(self.did(name))

    def key(self, name: str) -> Path:
        return self.layout.key(self.did(name))

    def blobs(self, name: str) -> list[Path]:
        """The permanent blob files of an account."""
        return sorted((self.data / "blobs" / self.did(name)).iterdir())

    def examine(self, **options: Any) -> Report:
        return examine(self.environ, Options(offline=True, **options))

    def problems(self, **options: Any) -> Sequence[Finding]:
        return self.examine(**options).problems

    def only_problem(self, **options: Any) -> Finding:
        """The one problem there is, which says what to do."""
        problems = self.problems(**options)
        assert len(problems) == 1, problems
        assert problems[0].remedy
        return problems[0]

    def contents(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file: its inode, the time of its last change, its bytes."""
        files = [path for path in self.data.rglob("*") if path.is_file()]
        return {
            str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
            for path in files
        }


@contextmanager
def changed(path: Path) -> Iterator[Database]:
    """A connection that writes, with the WAL gone at the end. Foreign keys are not enforced."""
    db = open_database(path)
    db.run("PRAGMA foreign_keys = OFF")
    try:
        yield db
    finally:
        db.close()


def crash_after(path: Path, statement: str) -> None:
    """Run a statement in a process that then ends without closing the database."""
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", _CRASH, str(path), statement], check=True, timeout=30
    )
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """The reference's data directory, healthy."""
    return Patient(unpack(tmp_path / "data"), manifest()["accounts"])


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that is open to others; pytest's own are closed."""
    with TemporaryDirectory() as name:
        closed = [path for path in Path(name).parents if not path.stat().st_mode & 0o001]
        if closed:
            pytest.skip(f"{closed[0]} is closed to others")
        Path(name).chmod(0o755)
        yield Path(name)
