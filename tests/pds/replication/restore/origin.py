"""A server's directory and its replica, written by the real Litestream and by plain copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actor_store.layout import ActorLayout
from database.opening import open_database
from pds.replication.replica import names
from pds.replication.replica.file_place import FilePlace
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.patience import PatientReader
from pds.replication.restore.restoring import Restore
from pds.replication.restore.target import RestoreTarget
from repo.dagcbor import encode
from tests.pds.replication.real_litestream import Litestream
from tests.reference.data import manifest, unpack

DELETED_DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
"""An account whose deletion is in the event log."""
SOURCE = "file:///replica"


@dataclass(slots=True)
class Origin:
    """What was replicated, and the place of the replica."""

    data: Path
    replica: Path

    @property
    def layout(self) -> ActorLayout:
        return ActorLayout(self.data / "actors")

    def did(self, name: str) -> str:
        """The DID of alice, bob, carol, dan, eve or frank."""
        return str(manifest()["accounts"][name]["did"])

    def store(self, name: str) -> Path:
        return self.layout.store(self.did(name))

    def database(self, name: str) -> str:
        """The name of an account's database in the replica."""
        return names.actor_database(self.did(name))

    def files(self, database: str) -> list[Path]:
        """The LTX files of a database, oldest first."""
        return sorted((self.replica / database).rglob("*.ltx"))

    def sync(self, litestream: Litestream) -> None:
        """Replicate every database."""
        for path in sorted(self.data.rglob("*.sqlite")):
            parts = path.relative_to(self.data).parts
            litestream.sync(path, "/".join(map(names.encode_did, parts)))

    def write(self, path: Path, litestream: Litestream, *, value: str) -> None:
        """Change a preference, and replicate that as a transaction of its own."""
        with closing(open_database(path, wal_autocheckpoint=None)) as db:
            db.run("INSERT INTO account_pref (name, valueJson) VALUES ('test', ?)", (value,))
            did = names.encode_did(path.parent.name)
            litestream.sync(path, f"{names.ACTORS}{path.parent.parent.name}/{did}/store.sqlite")

    def copy_keys(self, seal: Callable[[bytes], bytes] = bytes, suffix: str = "") -> None:
        """Copy signing keys as `pds replicate` does."""
        for path in (*self.data.glob("actors/??/did:*/key"), *self.reserved()):
            name = "/".join(map(names.encode_did, path.relative_to(self.data).parts)) + suffix
            (self.replica / name).parent.mkdir(parents=True, exist_ok=True)
            (self.replica / name).write_bytes(seal(path.read_bytes()))

    def reserved(self) -> list[Path]:
        return sorted(self.data.glob("actors/reserved_keys/*"))

    def copy_blobs(self) -> None:
        """Copy blobs as `pds replicate` does."""
        for path in self.blobs():
            name = names.BLOBS + "/".join(path.relative_to(self.data / "blobs").parts)
            (self.replica / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, self.replica / name)

    def blobs(self) -> list[Path]:
        """Permanent blobs, and those in quarantine."""
        found = sorted((self.data / "blobs").rglob("baf*"))
        return [path for path in found if "tempt" not in path.parts]

    def restore(self, to: Path, **fields: Any) -> Restore:
        """A restore to `to`; `fields` are those of `Restore`, or of its options."""
        own = {name: fields.pop(name) for name in list(fields) if name in _FIELDS}
        place = own.pop("place", None) or FilePlace(self.replica)
        target = own.pop("target", None) or target_in(to)
        reader = own.pop("reader", None) or PatientReader(place, delays_s=())
        options = RestoreOptions(**fields)
        return Restore(place, SOURCE, target, options, reader=reader, **own)


_FIELDS = {"place", "target", "opener", "live", "progress", "reader"}


def target_in(directory: Path) -> RestoreTarget:
    """The usual places, with blobs where the fixture has them."""
    target = RestoreTarget.within(directory)
    return RestoreTarget(directory, target.services, target.actors, directory / "blobs")


def make_origin(directory: Path, litestream: Litestream) -> Origin:
    """Unpack the data of the reference, add a reserved key and a deletion, and replicate.

    `litestream` replicates to the directory `replica` beside the data.
    """
    origin = Origin(unpack(directory / "data"), directory / "replica")
    key = origin.layout.key(origin.did("alice")).read_bytes()
    origin.layout.reserved_key("did:web:example.com%3A8080").parent.mkdir(exist_ok=True)
    origin.layout.reserved_key("did:web:example.com%3A8080").write_bytes(key)
    body = encode({"did": DELETED_DID, "active": False, "status": "deleted"})
    with closing(open_database(origin.data / "sequencer.sqlite")) as db:
        db.run(
            "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, 'account', ?, ?)",
            (DELETED_DID, body, "2026-11-20T12:00:00.000Z"),
        )
    origin.sync(litestream)
    for number in range(4):
        origin.write(origin.store("alice"), litestream, value=str(number))
    origin.copy_keys()
    origin.copy_blobs()
    return origin


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a database, but for tables of Litestream, and what a run notes of itself."""
    with closing(open_database(path, create=False)) as db:
        tables = [
            name
            for (name,) in db.all("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if not name.startswith(("_litestream", "sqlite_", "holdfast_"))
        ]
        return {table: sorted(db.all(f"SELECT * FROM {table}"), key=repr) for table in tables}
