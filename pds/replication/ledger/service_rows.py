"""How far the databases of the server as a whole are in the replica, for standbys."""

from __future__ import annotations

from typing import Final

from database.connection import Database

_NOTE: Final = (
    "INSERT INTO service (name, txid) VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET txid = excluded.txid WHERE txid <> excluded.txid"
)


class ServiceRows:
    """The table `service`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, name: str, txid: int) -> None:
        """Note the newest transaction of a database in the replica."""
        self._db.run(_NOTE, (name, txid))

    def forget(self) -> None:
        """Delete all rows, for another replica than before."""
        self._db.run("DELETE FROM service")

    def all(self) -> dict[str, int]:
        """Return the newest transactions by the names of databases."""
        return dict(self._db.iter("SELECT name, txid FROM service"))
