"""What a standby reads from the ledger of its primary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pds.replication.copies.blob_directories import BlobDirectory
from pds.replication.copies.key_rows import KeyKind
from pds.replication.ledger.actor_rows import shard_of

if TYPE_CHECKING:
    from database.connection import Database

_ACTORS: Final = (
    "SELECT did, txid, begun, deletedAtMs IS NOT NULL, changed FROM actor"
    " WHERE changed > ? ORDER BY changed LIMIT ?"
)
_ACTOR: Final = (
    "SELECT did, txid, begun, deletedAtMs IS NOT NULL, changed FROM actor"
    " WHERE shard = ? AND did = ?"
)
_SYNCED_SINCE: Final = (
    "SELECT did FROM actor WHERE syncedAtMs >= ? ORDER BY syncedAtMs DESC LIMIT ?"
)
_DELETED: Final = "SELECT did FROM actor WHERE deletedAtMs >= ? ORDER BY deletedAtMs DESC LIMIT ?"
_DIRTY: Final = "SELECT count(*) FROM actor WHERE dirtySinceMs IS NOT NULL"
_KEYS: Final = (
    "SELECT kind, name, digest, sealing, goneAtS IS NOT NULL, changed FROM key_copy"
    " WHERE changed > ? ORDER BY changed LIMIT ?"
)
_DIRECTORIES: Final = (
    "SELECT id, path, changed FROM blob_directory WHERE changed > ? ORDER BY changed LIMIT ?"
)
_BLOBS: Final = "SELECT digest, size, goneAtS IS NOT NULL FROM blob_copy WHERE directory = ?"


@dataclass(frozen=True, slots=True)
class LedgerActor:
    """An account whose database is in the replica, or was."""

    did: str
    txid: int
    """The newest transaction that the ledger knows of; the replica may be further. 0: none yet."""
    begun: int
    """Differs after the replica has begun to count the account's transactions anew."""
    is_deleted: bool
    changed: int


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """A secret file in the replica, or one that was."""

    kind: KeyKind
    name: str
    digest: bytes
    """SHA-256 of a signing key; empty for other files."""
    sealing: str
    is_gone: bool
    changed: int


@dataclass(frozen=True, slots=True)
class LedgerDirectory:
    """A directory of blobs, of which some have come or gone."""

    id: int
    directory: BlobDirectory
    changed: int


@dataclass(frozen=True, slots=True)
class LedgerBlob:
    """A blob in the replica, or one that was."""

    digest: bytes
    size: int
    is_gone: bool


class LedgerRows:
    """The tables of a ledger that is open for reading. Methods raise `DatabaseError`s."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @property
    def server_id(self) -> str:
        """The data directory of the primary."""
        return str(self._db.value("SELECT value FROM state WHERE name = 'serverId'") or "")

    @property
    def change_count(self) -> int:
        """The highest `changed` that was ever given out."""
        return int(self._db.value("SELECT changed FROM change_count") or 0)

    @property
    def dirty(self) -> int:
        """How many accounts had changes that were not yet in the replica."""
        return int(self._db.value(_DIRTY) or 0)

    def services(self) -> dict[str, int]:
        """Return the newest transaction of each database of the server, where it is known."""
        return dict(self._db.iter("SELECT name, txid FROM service"))

    def actors(self, *, after: int, limit: int) -> list[LedgerActor]:
        """Return accounts with a higher `changed`, in its order."""
        return [_actor(*row) for row in self._db.all(_ACTORS, (after, limit))]

    def find_actor(self, did: str) -> LedgerActor | None:
        """Return one account."""
        row = self._db.one(_ACTOR, (shard_of(did), did))
        return None if row is None else _actor(*row)

    def synced_since(self, time_ms: int, *, limit: int) -> list[str]:
        """Return accounts that were synced since a time, the last ones first."""
        return [did for (did,) in self._db.all(_SYNCED_SINCE, (time_ms, limit))]

    def deleted_since(self, time_ms: int, *, limit: int) -> list[str]:
        """Return accounts that were deleted since a time, the last ones first."""
        return [did for (did,) in self._db.all(_DELETED, (time_ms, limit))]

    def keys(self, *, after: int, limit: int) -> list[LedgerKey]:
        """Return secret files with a higher `changed`, in its order."""
        return [
            LedgerKey(KeyKind(kind), name, digest, sealing, bool(is_gone), changed)
            for kind, name, digest, sealing, is_gone, changed in self._db.all(_KEYS, (after, limit))
        ]

    def directories(self, *, after: int, limit: int) -> list[LedgerDirectory]:
        """Return directories of blobs with a higher `changed`, in its order."""
        return [
            LedgerDirectory(row_id, BlobDirectory(path), changed)
            for row_id, path, changed in self._db.all(_DIRECTORIES, (after, limit))
        ]

    def blobs(self, directory_id: int) -> Iterator[LedgerBlob]:
        """Yield the blobs of a directory."""
        for digest, size, is_gone in self._db.iter(_BLOBS, (directory_id,)):
            yield LedgerBlob(digest, size, bool(is_gone))


def _actor(did: str, txid: int, begun: int, is_deleted: int, changed: int) -> LedgerActor:
    return LedgerActor(did, txid, begun, bool(is_deleted), changed)
