"""What the ledger knows of single actors, which only tests ask."""

from __future__ import annotations

from dataclasses import dataclass

from pds.replication.ledger.actor_rows import shard_of
from pds.replication.ledger.ledger import Ledger

_GET = (
    "SELECT txid, syncedAtMs, dirtySinceMs, failures, lastError, uncompacted, compactAtMs,"
    " deletedAtMs FROM actor WHERE shard = ? AND did = ?"
)


@dataclass(frozen=True)
class ActorRow:
    """A row of the table `actor`."""

    txid: int
    synced_at_ms: int | None
    dirty_since_ms: int | None
    failures: int
    last_error: str | None
    uncompacted: int
    compact_at_ms: int | None
    deleted_at_ms: int | None


def find_row(ledger: Ledger, did: str) -> ActorRow | None:
    row = ledger.db.one(_GET, (shard_of(did), did))
    return None if row is None else ActorRow(*row)


def row_of(ledger: Ledger, did: str) -> ActorRow:
    row = find_row(ledger, did)
    assert row is not None
    return row
