"""The uploads in flight, in `hold.sqlite`, where they outlive a restart.

::

    open ──join──▶ checking ──keep──▶ completed
                       └──mismatch──▶ refused

An ended upload is remembered for a day, so that a client that did not hear the answer to its
completion hears it when it asks again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from database.retry import write
from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import HoldFull, TooManyUploads

if TYPE_CHECKING:
    from database.connection import Database, Row

MAX_OPEN_EACH: Final = 200
"""Unfinished uploads of one DID. Docker sends five layers of an image at a time."""
MAX_OPEN: Final = 5_000
"""Of all together."""

_COLUMNS: Final = "id, did, storageId, state, digest, sizeBytes"


class UploadState(StrEnum):
    """How far an upload has got."""

    OPEN = "open"
    """Parts may come."""
    CHECKING = "checking"
    """All bytes are there and put together, but not yet visible under their digest."""
    COMPLETED = "completed"
    REFUSED = "refused"
    """The bytes had another digest, and are discarded."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload."""

    id: str
    did: str
    """The user who began it; nobody else may continue it."""
    storage_id: str
    state: UploadState
    digest: Digest | None = None
    """As its client completed it; None while it is open."""
    size_bytes: int = 0
    """Known from when it is joined."""

    @property
    def came_here(self) -> bool:
        """Whether its parts come through this server: other stores give it an id of their own."""
        return not self.storage_id


class UploadRows:
    """The table of uploads."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, upload_id: str, did: str, *, now_ms: int) -> None:
        """Add an open upload. Raises `TooManyUploads`, `HoldFull`."""

        def insert() -> None:
            unfinished = "SELECT count(*) FROM upload WHERE state IN ('open', 'checking')"
            if self._db.value(f"{unfinished} AND did = ?", (did,)) >= MAX_OPEN_EACH:
                raise TooManyUploads(MAX_OPEN_EACH)
            if self._db.value(unfinished) >= MAX_OPEN:
                raise HoldFull(MAX_OPEN)
            self._db.run(
                "INSERT INTO upload (id, did, storageId, state, changedAtMs) "
                "VALUES (?, ?, '', 'open', ?)",
                (upload_id, did, now_ms),
            )

        await write(self._db, insert)

    async def set_storage_id(self, upload_id: str, storage_id: str) -> None:
        """Note by which id the store knows an upload."""
        await self._run("UPDATE upload SET storageId = ? WHERE id = ?", (storage_id, upload_id))

    async def set_joined(
        self, upload_id: str, digest: Digest, size_bytes: int, *, now_ms: int
    ) -> None:
        """Note that all bytes are there, and what their digest should be."""
        await self._run(
            "UPDATE upload SET state = 'checking', digest = ?, sizeBytes = ?, changedAtMs = ? "
            "WHERE id = ?",
            (digest, size_bytes, now_ms, upload_id),
        )

    async def set_refused(self, upload_id: str, digest: Digest, *, now_ms: int) -> None:
        """Note that the bytes have another digest than this one."""
        await self._run(
            "UPDATE upload SET state = 'refused', digest = ?, changedAtMs = ? WHERE id = ?",
            (digest, now_ms, upload_id),
        )

    async def set_completed(
        self, upload_id: str, digest: Digest, size_bytes: int, *, now_ms: int
    ) -> None:
        """Note that the blob is stored."""
        await self._run(
            "UPDATE upload SET state = 'completed', digest = ?, sizeBytes = ?, changedAtMs = ? "
            "WHERE id = ?",
            (digest, size_bytes, now_ms, upload_id),
        )

    async def remove(self, upload_id: str) -> None:
        """Forget an upload; a missing one is ignored."""
        await self._run("DELETE FROM upload WHERE id = ?", (upload_id,))

    def find(self, upload_id: str) -> Upload | None:
        """Return an upload."""
        row = self._db.one(f"SELECT {_COLUMNS} FROM upload WHERE id = ?", (upload_id,))
        return None if row is None else _upload(row)

    def exists(self, upload_id: str) -> bool:
        """Whether an upload is known, ended or not."""
        return self._db.value("SELECT 1 FROM upload WHERE id = ?", (upload_id,)) is not None

    def list_open(self) -> list[Upload]:
        """Return all uploads that take parts."""
        # No more than `MAX_OPEN`.
        rows = self._db.all(f"SELECT {_COLUMNS} FROM upload WHERE state = 'open'")
        return [_upload(row) for row in rows]

    def list_checking(self) -> list[Upload]:
        """Return all uploads that are joined and not yet checked and kept."""
        # No more than `MAX_OPEN`.
        rows = self._db.all(f"SELECT {_COLUMNS} FROM upload WHERE state = 'checking'")
        return [_upload(row) for row in rows]

    def list_old(self, *, before_ms: int, limit: int) -> list[Upload]:
        """Return uploads that nothing has happened to since then, but none being checked."""
        rows = self._db.all(
            f"SELECT {_COLUMNS} FROM upload WHERE changedAtMs < ? AND state <> 'checking' "
            "ORDER BY changedAtMs LIMIT ?",
            (before_ms, limit),
        )
        return [_upload(row) for row in rows]

    async def _run(self, sql: str, params: tuple[str | int, ...]) -> None:
        await write(self._db, lambda: self._db.run(sql, params))


def _upload(row: Row) -> Upload:
    upload_id, did, storage_id, state, digest, size_bytes = row
    return Upload(upload_id, did, storage_id, UploadState(state), digest, size_bytes or 0)
