"""The numbers by which a standby finds what has changed in a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pds.replication.copies.blob_directories import BlobDirectory
from pds.replication.copies.blob_rows import BlobRows
from pds.replication.copies.key_rows import KeyKind, KeyRow, KeyRows
from pds.replication.copies.signature import Signature
from pds.replication.ledger.ledger import Ledger
from pds.replication.ledger.rows import Mark, Settled
from pds.replication.standby.ledger_rows import LedgerRows

A, B, C = (f"did:plc:{letter * 24}" for letter in "abc")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "replication.sqlite")
    ledger.actors.add([(A, 1), (B, 1), (C, 1)], now_ms=1)
    yield ledger
    ledger.close()


def changed_since(ledger: Ledger, seen: int) -> list[str]:
    return [actor.did for actor in LedgerRows(ledger.db).actors(after=seen, limit=10)]


def settle(ledger: Ledger, did: str, txid: int) -> None:
    ledger.actors.settle([Settled(did, txid=txid, at_ms=1, signature=None)])


def count(ledger: Ledger) -> int:
    return LedgerRows(ledger.db).change_count


def test_actors_that_reach_another_transaction_are_found_in_order(ledger: Ledger) -> None:
    assert changed_since(ledger, 0) == [A, B, C]
    seen = count(ledger)
    settle(ledger, C, 4)
    settle(ledger, A, 2)
    assert changed_since(ledger, seen) == [C, A]
    seen = count(ledger)
    # Marks and syncs that found nothing new tell a standby nothing.
    ledger.actors.mark([Mark(B, 1, 1)])
    settle(ledger, A, 2)
    assert changed_since(ledger, seen) == []
    ledger.actors.set_closed(A, txid=3, signature=None)
    assert changed_since(ledger, seen) == [A]


def test_deletions_and_returns_are_changes(ledger: Ledger) -> None:
    settle(ledger, A, 4)
    seen = count(ledger)
    ledger.actors.mark_deleted([A], now_ms=5)
    assert changed_since(ledger, seen) == [A]
    seen = count(ledger)
    settle(ledger, A, 5)
    assert changed_since(ledger, seen) == [A]


def test_a_number_is_never_given_out_twice(ledger: Ledger) -> None:
    settle(ledger, C, 1)
    seen = count(ledger)
    ledger.actors.forget([C])
    settle(ledger, A, 1)
    assert changed_since(ledger, seen) == [A]


def test_transactions_that_are_counted_anew_are_told_from_the_old_ones(ledger: Ledger) -> None:
    def begun(did: str) -> int:
        actor = LedgerRows(ledger.db).find_actor(did)
        assert actor is not None
        return actor.begun

    settle(ledger, A, 7)
    settle(ledger, B, 7)
    before = begun(A), begun(B)
    settle(ledger, A, 8)
    assert (begun(A), begun(B)) == before
    ledger.actors.forget([A])
    ledger.actors.add([(A, 1)], now_ms=1)
    assert begun(A) > before[0]
    # Another replica: see `Ledger.join_replica`.
    ledger.actors.reset(2)
    assert begun(B) > before[1]


def test_keys_and_directories_of_blobs_are_found_likewise(ledger: Ledger) -> None:
    keys, blobs, rows = KeyRows(ledger.db), BlobRows(ledger.db), LedgerRows(ledger.db)
    seen = rows.change_count
    keys.put(KeyRow(KeyKind.ACTOR, A, Signature(32, 1, 1), b"digest", "clear"))
    (key,) = rows.keys(after=seen, limit=10)
    assert (key.name, key.digest, key.is_gone) == (A, b"digest", False)
    seen = rows.change_count
    keys.mark_gone(KeyKind.ACTOR, [A], now_s=1)
    assert [key.is_gone for key in rows.keys(after=seen, limit=10)] == [True]
    seen = rows.change_count
    directory = blobs.add_directory(BlobDirectory(B))
    blobs.set_compared(directory.id, mtime_ns=1, now_s=1)
    assert rows.directories(after=seen, limit=10) == []
    blobs.put(directory.id, [(b"1" * 32, 5)])
    (found,) = rows.directories(after=seen, limit=10)
    assert (found.directory.path, [blob.size for blob in rows.blobs(found.id)]) == (B, [5])
    seen = rows.change_count
    blobs.mark(directory.id, gone=[b"1" * 32], back=[], now_s=1)
    assert [each.id for each in rows.directories(after=seen, limit=10)] == [directory.id]
    assert [blob.is_gone for blob in rows.blobs(directory.id)] == [True]


def test_databases_of_the_server_are_noted_until_there_is_another_replica(ledger: Ledger) -> None:
    ledger.services.note("account.sqlite", 3)
    ledger.services.note("account.sqlite", 4)
    assert LedgerRows(ledger.db).services() == ledger.services.all() == {"account.sqlite": 4}
    ledger.services.forget()
    assert ledger.services.all() == {}
