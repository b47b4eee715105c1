"""What has been loaded from which CAR file: a database beside the stores."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson

from database.connection import Database, open_database
from database.migrations import Migration, migrate
from pds.readonly.car_files import CarFile
from repo.syntax import Did

Verification: TypeAlias = Literal["available", "strict", "offline"]
"""Whether signatures are verified where the key can be had, must be, or are not looked at."""
SignatureState: TypeAlias = Literal["valid", "unchecked"]

_REPO: Final = (
    "SELECT did, handle, didDoc, cid, rev, path, sizeBytes, records, signature, name FROM repo"
)
_SCHEMA: Final = ("schema.sql", "names.sql")


@dataclass(frozen=True, slots=True)
class CatalogedCar:
    """A file that has been looked at, and what came of it: a repository or a problem."""

    file: CarFile
    verification: Verification
    did: Did | None
    rev: str | None
    problem: str | None
    """For everybody who asks, so without paths of this machine."""


@dataclass(frozen=True, slots=True)
class CatalogedRepo:
    """A repository that is served."""

    did: Did
    handle: str | None
    did_doc: dict[str, Any] | None
    """None where the document could not be had when the file was loaded."""
    cid: str
    rev: str
    path: Path
    """The file that it was loaded from."""
    size_bytes: int
    """Of the file."""
    records: int
    signature: SignatureState
    name: str | None
    """What the account calls itself."""

    @property
    def title(self) -> str:
        """What people know it by: its name, or else its handle or DID."""
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
        """Every file that has been looked at."""
        rows = self._db.all(
            "SELECT path, sizeBytes, mtimeNs, verification, did, rev, problem FROM car"
        )
        return {_path_of(row[0]): _car_of(row) for row in rows}

    def put_car(self, car: CatalogedCar) -> None:
        """Note what came of a file, in place of what was noted before."""
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
        """The repositories that are served from a file: one, or more if it was another's before."""
        rows = self._db.all("SELECT did FROM repo WHERE path = ?", (_text_of(path),))
        return [did for (did,) in rows]

    def find_repo(self, did: str) -> CatalogedRepo | None:
        """What is known of a repository."""
        row = self._db.one(f"{_REPO} WHERE did = ?", (did,))
        return None if row is None else _repo_of(row)

    def repos(self, *, limit: int, after: str = "") -> list[CatalogedRepo]:
        """Repositories by DID, those behind `after`."""
        rows = self._db.all(f"{_REPO} WHERE did > ? ORDER BY did LIMIT ?", (after, limit))
        return [_repo_of(row) for row in rows]

    def search(self, text: str, *, limit: int, after: str = "") -> list[CatalogedRepo]:
        """As `repos`, those with `text` in their DID, handle or name, whatever its letter case.

        For a thread: looks at every repository, with a connection of its own.
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
        """Repositories whose DID document could not be had."""
        return [_repo_of(row) for row in self._db.all(f"{_REPO} WHERE didDoc IS NULL")]

    def count_repos(self) -> int:
        """How many repositories are served."""
        return int(self._db.value("SELECT count(*) FROM repo"))

    def problems(self, *, limit: int) -> list[CatalogedCar]:
        """Files that could not be loaded, by path."""
        rows = self._db.all(
            "SELECT path, sizeBytes, mtimeNs, verification, did, rev, problem FROM car"
            " WHERE problem IS NOT NULL ORDER BY path LIMIT ?",
            (limit,),
        )
        return [_car_of(row) for row in rows]

    def put_repo(self, repo: CatalogedRepo) -> None:
        """Note a repository, in place of what was noted before."""
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
    """Text as it is compared: not by letter case, nor by the form of letters."""
    return unicodedata.normalize("NFKC", text).casefold()


# Names of files are bytes, columns are text. A resolved path has no two slashes in a row, so here
# they stand before a byte that is no text, which Python makes a lone surrogate.
def _text_of(path: Path) -> str:
    return re.sub("[\udc80-\udcff]", lambda found: f"//{ord(found[0]) - 0xDC00:02x}", str(path))


def _path_of(text: str) -> Path:
    return Path(re.sub("//([0-9a-f]{2})", lambda found: chr(0xDC00 + int(found[1], 16)), text))
