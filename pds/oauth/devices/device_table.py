"""The table `device`: browsers that have opened an authorization request or an account page."""

from __future__ import annotations

from dataclasses import dataclass

from database.connection import Database


@dataclass(slots=True, frozen=True)
class DeviceRow:
    """A browser, as it was last seen."""

    id: str
    session_id: str
    user_agent: str | None
    ip_address: str
    last_seen_at: str
    """ISO 8601 with milliseconds."""


class DeviceTable:
    """Statements on `device`; changes must be made inside a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, row: DeviceRow) -> None:
        """Insert a new device."""
        self._db.run(
            "INSERT INTO device (id, sessionId, userAgent, ipAddress, lastSeenAt)"
            " VALUES (?, ?, ?, ?, ?)",
            (row.id, row.session_id, row.user_agent, row.ip_address, row.last_seen_at),
        )

    def find(self, device_id: str) -> DeviceRow | None:
        """Return a device, or None if it is unknown."""
        row = self._db.one(
            "SELECT id, sessionId, userAgent, ipAddress, lastSeenAt FROM device WHERE id = ?",
            (device_id,),
        )
        return None if row is None else DeviceRow(*row)

    def replace(self, row: DeviceRow) -> None:
        """Store what has changed about a device."""
        self._db.run(
            "UPDATE device SET sessionId = ?, userAgent = ?, ipAddress = ?, lastSeenAt = ?"
            " WHERE id = ?",
            (row.session_id, row.user_agent, row.ip_address, row.last_seen_at, row.id),
        )

    def remove(self, device_id: str) -> None:
        """Delete a device, which signs everybody out there. Unknown ones are ignored."""
        self._db.run("DELETE FROM device WHERE id = ?", (device_id,))

    def remove_unused(self, before: str, *, after: int, rows: int) -> int:
        """Delete devices last seen before a time where nobody is signed in.

        Examines `rows` of them, those that come after the row `after`; returns the row to go on
        after, which is 0 at the end. Tables as large as a flood leaves take many calls.
        """
        page = self._db.all(
            "SELECT rowid, id, lastSeenAt < ?2 AND NOT EXISTS"
            " (SELECT 1 FROM account_device WHERE deviceId = device.id)"
            " FROM device WHERE rowid > ?1 ORDER BY rowid LIMIT ?3",
            (after, before, rows),
        )
        for _, device_id, is_unused in page:
            if is_unused:
                self.remove(device_id)
        return page[-1][0] if len(page) == rows else 0
