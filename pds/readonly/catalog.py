"""The catalog of what was loaded from which CAR file: a database next to the stores."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson

from database.connection import Database
from database.migrations import Migration, migrate
from database.opening import open_database
from pds.readonly.car_files import CarFile
from repo.syntax import Did

Verification: TypeAlias = Literal["available", "strict", "offline"]
"""Whether signatures are verified if the key is available, always, or never."""
SignatureState: TypeAlias = Literal["valid", "unchecked"]

_REPO: Final = (
    "SELECT did, handle, didDoc, cid, rev, path, sizeBytes, records, signature, name FROM repo"
)
_SCHEMA: Final = ("schema.sql", "names.sql")


@dataclass(frozen=True, slots=True)
class CatalogedCar:
    """A file that has been examined, with the result: a repository or a problem."""

    file: CarFile
    verification: Verification
    did: Did | None
    rev: str | None
    problem: str | None
    """Shown to everyone, so without paths of this machine."""


@dataclass(frozen=True, slots=True)
class CatalogedRepo:
    """A repository that is served."""

    did: Did
    handle: str | None
    did_doc: dict[str, Any] | None
    """None if the document could not be resolved when the file was loaded."""
    cid: str
    rev: str
    path: Path
    """The file from which it was loaded."""
    size_bytes: int
    """The size of the file."""
    records: int
    signature: SignatureState
    name: str | None
    """The display name of the account."""

    @property
    def title(self) -> str:
        """The repository's title for people: its name, or else its handle or DID."""
        return self.name or self.handle or self.did


class Catalog:
    """The table of files and the table of repositories."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open the database, new or old. Raises `DatabaseError`s."""
        db = open_database(path)
        with db.closed_on_error():
            package = resources.files("pds.readonly")
            migrations = (
                Migration(f"{number:03}", package.joinpath(name).read_text("utf-8"))
                for number, name in enumerate(_SCHEMA, 1)
            )
            migrate(db, tuple(migrations))
        return cls(db)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def cars(self) -> dict[Path, CatalogedCar]:
        """Return every file that has been examined."""
        rows = self._db.all(
            "SELECT path, sizeBytes, mtimeNs, verification, did, rev, problem FROM car"
        )
        return {_path_of(row[0]): _car_of(row) for row in rows}

    def put_car(self, car: CatalogedCar) -> None:
        """Upsert the result for a file."""
        file = car.file
        self._db.run(
            "INSERT OR REPLACE INTO car (path, sizeBytes, mtimeNs, verification, did, rev, problem)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                _text_of(file.path),
                file.size_bytes,
                file.mtime_ns,
                car.verification,
                car.did,
                car.rev,
                car.problem,
            ),
        )

    def forget_car(self, path: Path) -> None:
        """Forget a file that is gone."""
        self._db.run("DELETE FROM car WHERE path = ?", (_text_of(path),))

    def forget_cars_of(self, did: str) -> None:
        """Forget the files of a repository, so that they are loaded again."""
        self._db.run("DELETE FROM car WHERE did = ?", (did,))

    def dids_of(self, path: Path) -> list[Did]:
        """Return the repositories served from a file: one, or more if it held another before."""
        rows = self._db.all("SELECT did FROM repo WHERE path = ?", (_text_of(path),))
        return [did for (did,) in rows]

    def find_repo(self, did: str) -> CatalogedRepo | None:
        """Return the entry of a repository; None if it is not served."""
        row = self._db.one(f"{_REPO} WHERE did = ?", (did,))
        return None if row is None else _repo_of(row)

    def repos(self, *, limit: int, after: str = "") -> list[CatalogedRepo]:
        """Return repositories by DID, starting after `after`."""
        rows = self._db.all(f"{_REPO} WHERE did > ? ORDER BY did LIMIT ?", (after, limit))
        return [_repo_of(row) for row in rows]

    def search(self, text: str, *, limit: int, after: str = "") -> list[CatalogedRepo]:
        """Like `repos`, but only those with `text` in DID, handle or name, in any letter case.

        For a thread: scans every repository, on a connection of its own.
        """
        db = open_database(self._db.path, create=False, read_only=True)
        try:
            rows = db.all(
                f"{_REPO} WHERE instr(words, ?) AND did > ? ORDER BY did LIMIT ?",
                (_folded(text), after, limit),
            )
        finally:
            db.close()
        return [_repo_of(row) for row in rows]

    def repos_without_document(self) -> list[CatalogedRepo]:
        """Return the repositories whose DID document could not be resolved."""
        return [_repo_of(row) for row in self._db.all(f"{_REPO} WHERE didDoc IS NULL")]

    def count_repos(self) -> int:
        """Return how many repositories are served."""
        return int(self._db.value("SELECT count(*) FROM repo"))

    def problems(self, *, limit: int) -> list[CatalogedCar]:
        """Return the files that could not be loaded, by path."""
        rows = self._db.all(
            "SELECT path, sizeBytes, mtimeNs, verification, did, rev, problem FROM car"
            " WHERE problem IS NOT NULL ORDER BY path LIMIT ?",
            (limit,),
        )
        return [_car_of(row) for row in rows]

    def put_repo(self, repo: CatalogedRepo) -> None:
        """Upsert a repository."""
        self._db.run(
            "INSERT OR REPLACE INTO repo"
            " (did, handle, didDoc, cid, rev, path, sizeBytes, records, signature, name, words)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                repo.did,
                repo.handle,
                None if repo.did_doc is None else orjson.dumps(repo.did_doc).decode(),
                repo.cid,
                repo.rev,
                _text_of(repo.path),
                repo.size_bytes,
                repo.records,
                repo.signature,
                repo.name,
                _folded("\n".join((repo.did, repo.handle or "", repo.name or ""))),
            ),
        )

    def forget_repo(self, did: str) -> None:
        """Forget a repository that is no longer served."""
        self._db.run("DELETE FROM repo WHERE did = ?", (did,))


def _car_of(row: tuple[Any, ...]) -> CatalogedCar:
    path, size_bytes, mtime_ns, verification, did, rev, problem = row
    return CatalogedCar(
        CarFile(_path_of(path), size_bytes, mtime_ns), verification, did, rev, problem
    )


def _repo_of(row: tuple[Any, ...]) -> CatalogedRepo:
    did, handle, did_doc, cid, rev, path, size_bytes, records, signature, name = row
    return CatalogedRepo(
        did,
        handle,
        None if did_doc is None else orjson.loads(did_doc),
        cid,
        rev,
        _path_of(path),
        size_bytes,
        records,
        signature,
        name,
    )


def _folded(text: str) -> str:
    """Normalize text for comparison, regardless of letter case and Unicode form."""
    return unicodedata.normalize("NFKC", text).casefold()


# File names are bytes, columns are text. A resolved path has no two slashes in a row, so here two
# slashes mark a byte that is not text, for which Python has a lone surrogate.
def _text_of(path: Path) -> str:
    return re.sub("[\udc80-\udcff]", lambda found: f"//{ord(found[0]) - 0xDC00:02x}", str(path))


def _path_of(text: str) -> Path:
    return Path(re.sub("//([0-9a-f]{2})", lambda found: chr(0xDC00 + int(found[1], 16)), text))
