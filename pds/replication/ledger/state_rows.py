"""Single values of the ledger: who this server is, and how far the event log was followed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from database.connection import Database

BLOBS_LEARNED: Final = "blobsLearned"
"""Set once the ledger knows of all blobs that the replica has."""
_GET: Final = "SELECT value FROM state WHERE name = ?"
_SET: Final = (
    "INSERT INTO state (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
)


class StateRows:
    """The table `state`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, name: str) -> str | None:
        """Return a value."""
        value: str | None = self._db.value(_GET, (name,))
        return value

    def set(self, name: str, value: str) -> None:
        """Set a value."""
        self._db.run(_SET, (name, value))

    @property
    def cursor(self) -> int | None:
        """The seq up to which the DIDs of all events were marked; None at the first start."""
        value = self.get("cursor")
        return None if value is None else int(value)

    def set_cursor(self, seq: int) -> None:
        """Move the cursor, in the transaction that marks the DIDs of the events before it."""
        self.set("cursor", str(seq))

    def settle_server_id(self, inode: int, new: Callable[[], str]) -> None:
        """Make a server id, unless this is the file that the present one was made for.

        A copy of the ledger, such as a restored one, is another file. Its server must not pass for
        the one that it was copied from, which may still be running.
        """
        if self.get("serverId") is None or self.get("inode") != str(inode):
            self.set("serverId", new())
            self.set("inode", str(inode))
