from __future__ import annotations

import asyncio
import json
from pathlib import Path

import apsw
import pytest

from database.opening import open_database
from identity.did_cache import DidCache
from identity.did_document import DidDocument
from repo.syntax import Did
from tests.reference import data as reference_data
from tests.small_disk import filled, small_disk

_DID = Did("did:web:example.com")
_REFERENCE_SCHEMA = (
    'CREATE TABLE "did_doc" ("did" varchar primary key, "doc" text not null, '
    '"updatedAt" bigint not null)'
)


def _document(handle: str = "alice.test", did: Did = _DID) -> DidDocument:
    return DidDocument({"id": did, "alsoKnownAs": [f"at://{handle}"]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "did_cache.sqlite"


async def test_a_document_is_kept_over_a_restart(path: Path) -> None:
    cache = DidCache.open(path)
    assert cache.find(_DID) is None
    await cache.put(_document("old.test"), updated_at_ms=1)
    await cache.put(_document(), updated_at_ms=2)
    cache.close()
    cache = DidCache.open(path)
    found = cache.find(_DID)
    assert found is not None
    assert (found.document.handle, found.updated_at_ms) == ("alice.test", 2)
    cache.close()


async def test_reading_twice_gives_the_same_object(path: Path) -> None:
    cache = DidCache.open(path)
    await cache.put(_document(), updated_at_ms=1)
    cache.close()
    cache = DidCache.open(path)
    assert cache.find(_DID) is cache.find(_DID)
    cache.close()


async def test_deleted_documents_stay_deleted(path: Path) -> None:
    cache = DidCache.open(path)
    other = Did("did:web:other.example.com")
    for did in (_DID, other):
        await cache.put(_document(did=did), updated_at_ms=1)
    await cache.delete(_DID)
    assert cache.find(_DID) is None
    assert cache.find(other) is not None
    cache.close()
    cache = DidCache.open(path)
    assert cache.find(_DID) is None
    assert cache.find(other) is not None
    cache.close()


async def test_the_file_is_the_reference_s(path: Path) -> None:
    DidCache.open(path).close()
    db = open_database(path)
    schema = db.value("SELECT sql FROM sqlite_master WHERE name = 'did_doc'")
    assert schema == _REFERENCE_SCHEMA
    assert db.value("SELECT name FROM kysely_migration") == "001"
    assert db.value("PRAGMA journal_mode") == "wal"
    db.close()


async def test_documents_that_the_reference_cached_are_read(path: Path) -> None:
    cache = DidCache.open(reference_data.unpack_file("did_cache.sqlite", path.parent))
    for did in json.loads(reference_data.PLC_FILE.read_text()):
        found = cache.find(Did(did))
        assert found is not None
        assert found.document.pds_endpoint == "http://localhost:2583"
        assert found.updated_at_ms > 1_700_000_000_000
    cache.close()


async def test_a_deleted_file_is_made_anew(path: Path) -> None:
    cache = DidCache.open(path)
    await cache.put(_document(), updated_at_ms=1)
    cache.close()
    path.unlink()  # noqa: ASYNC240 (of a test)
    cache = DidCache.open(path)
    assert cache.find(_DID) is None
    cache.close()


@pytest.mark.parametrize("damage", ["garbage", "newer schema"])
async def test_a_file_that_cannot_be_used_is_replaced(path: Path, damage: str) -> None:
    if damage == "garbage":
        path.write_bytes(b"this is not a database, " * 1_000)  # noqa: ASYNC240 (of a test)
    else:
        DidCache.open(path).close()
        connection = apsw.Connection(str(path))
        connection.execute("INSERT INTO kysely_migration VALUES ('999', '')")
        connection.close()
    cache = DidCache.open(path)
    await cache.put(_document(), updated_at_ms=1)
    assert cache.find(_DID) is not None
    cache.close()


async def test_on_a_full_disk_documents_are_kept_in_memory(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mb=1) as disk, filled(disk):
        cache = DidCache.open(disk / "did_cache.sqlite")
        await cache.put(_document(), updated_at_ms=1)
        assert cache.find(_DID) is not None
        cache.check_health()
        assert not cache.is_in_file
        cache.close()


async def test_rows_that_are_no_documents_count_as_absent(path: Path) -> None:
    cache = DidCache.open(path)
    db = open_database(path)
    for n, doc in enumerate(("{", "[]", '{"id":"did:web:other.example.com"}')):
        db.run("INSERT INTO did_doc VALUES (?, ?, 1)", (f"did:web:n{n}.example.com", doc))
        assert cache.find(Did(f"did:web:n{n}.example.com")) is None
    db.close()
    cache.close()


async def test_a_file_that_cannot_be_written_costs_no_answer(path: Path) -> None:
    cache = DidCache.open(path)
    other = open_database(path)
    with other.transaction():
        await cache.put(_document(), updated_at_ms=1)
    found = cache.find(_DID)
    assert found is not None
    assert other.value("SELECT count(*) FROM did_doc") == 0
    other.close()
    cache.close()
    await cache.put(_document(), updated_at_ms=1)
    assert cache.find(Did("did:web:never-seen.example.com")) is None


async def test_memory_is_bounded_and_the_file_knows_the_rest(path: Path) -> None:
    DidCache.open(path).close()
    cache = DidCache(open_database(path), memory_bytes=150)
    others = [Did(f"did:web:n{n}.example.com") for n in range(5)]
    for did in others:
        await cache.put(_document(did=did), updated_at_ms=1)
    await cache.put(_document("small.test"), updated_at_ms=1)
    await cache.put(_document("a" * 200), updated_at_ms=2)
    for did in (*others, _DID):
        found = cache.find(did)
        assert found is not None
        assert found.document.did == did
    latest = cache.find(_DID)
    assert latest is not None
    assert latest.updated_at_ms == 2
    cache.close()


async def test_the_file_does_not_grow_with_what_strangers_have_fetched(path: Path) -> None:
    DidCache.open(path).close()
    cache = DidCache(open_database(path), file_bytes=512 * 1024)
    for n in range(200):
        did = Did(f"did:web:n{n}.example.com")
        await cache.put(_document("a" * 100_000, did), updated_at_ms=1)
    assert cache.find(Did("did:web:n199.example.com")) is not None
    assert path.stat().st_size < 1024 * 1024  # noqa: ASYNC240 (of a test)
    cache.close()


async def test_documents_in_use_outlast_a_flood_of_others(path: Path) -> None:
    DidCache.open(path).close()
    cache = DidCache(open_database(path), file_bytes=512 * 1024, memory_bytes=1)
    await cache.put(_document(), updated_at_ms=7)
    for n in range(1_000):
        did = Did(f"did:web:n{n}.example.com")
        await cache.put(_document("a" * 2_000, did), updated_at_ms=1)
        if n % 50 == 0:
            assert cache.find(_DID) is not None
    found = cache.find(_DID)
    assert found is not None
    assert found.updated_at_ms == 7
    assert cache.find(Did("did:web:n0.example.com")) is None
    cache.close()


async def test_a_file_that_was_too_large_before_makes_room_bit_by_bit(path: Path) -> None:
    cache = DidCache.open(path)
    for n in range(500):
        await cache.put(_document("a" * 3_000, Did(f"did:web:n{n}.example.com")), updated_at_ms=1)
    cache.close()
    size_before = path.stat().st_size  # noqa: ASYNC240 (of a test)
    db = open_database(path)
    cache = DidCache(db, file_bytes=256 * 1024)
    for n in range(8):
        await cache.put(_document("a" * 3_000, Did(f"did:web:new{n}.example.com")), updated_at_ms=1)
    assert int(db.value("SELECT count(*) FROM did_doc")) < 100
    assert path.stat().st_size <= size_before  # noqa: ASYNC240 (of a test)
    cache.close()


async def test_a_process_sees_what_another_one_has_stored_or_deleted(path: Path) -> None:
    one, other = (DidCache.open(path, is_shared=True) for _ in range(2))
    await one.put(_document("old.test"), updated_at_ms=1)
    assert _handle_in(other) == "old.test"
    await one.put(_document("new.test"), updated_at_ms=2)
    assert _handle_in(other) == "new.test"
    await other.delete(_DID)
    assert _handle_in(one) is None
    for cache in (one, other):
        cache.close()


async def test_a_deletion_waits_while_another_process_writes(path: Path) -> None:
    cache = DidCache.open(path, is_shared=True)
    await cache.put(_document(), updated_at_ms=1)
    db = open_database(path)
    with db.transaction():
        deleting = asyncio.create_task(cache.delete(_DID))
        await asyncio.sleep(0)
        assert not deleting.done()
    await deleting
    assert db.value("SELECT count(*) FROM did_doc") == 0
    db.close()
    cache.close()


def _handle_in(cache: DidCache) -> str | None:
    found = cache.find(_DID)
    return None if found is None else found.document.handle
