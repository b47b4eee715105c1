"""Open stores: which of them keep pages and statements in memory, and how many there may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from actor_store.open_stores import (
    DEFAULT_MAX_OPEN,
    OpenStore,
    OpenStores,
    max_open_stores,
    open_stores_by_memory,
)
from actor_store.schema import migrate_store
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from database.connection import Database
from database.open_files import OpenFiles
from database.opening import open_database
from repo.keys import K256PrivateKey
from tests.actor_store.support import commit, contents, post

_GIB = 1 << 30
_RELEASED_BYTES = 10_000
"""More than a connection takes for a cache without pages."""


class _Opened:
    """Open stores with nothing but a database, and what these have in memory."""

    def __init__(self, directory: Path, *, max_open: int, max_new: int) -> None:
        self._directory = directory
        self._databases: dict[str, Database] = {}
        self.stores = OpenStores(
            self._open, max_open=max_open, max_new=max_new, files=OpenFiles(limit=1_000_000)
        )

    def read(self, *dids: str) -> None:
        for did in dids:
            self.stores.get(did).db.value("SELECT count(*) FROM record")

    def in_memory(self) -> set[str]:
        """The stores whose cached pages have not been released."""
        used = apsw.SQLITE_DBSTATUS_CACHE_USED
        return {
            did
            for did, db in self._databases.items()
            if did in self.stores and db.connection.status(used)[0] > _RELEASED_BYTES
        }

    def _open(self, did: str) -> OpenStore:
        db = self._databases[did] = open_database(self._directory / did)
        migrate_store(db)
        # Nothing here asks for more of a store.
        return OpenStore(db, None)  # type: ignore[arg-type]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[_Opened]:
    opened = _Opened(tmp_path, max_open=32, max_new=2)
    yield opened
    opened.stores.close()


def test_a_store_that_was_read_once_keeps_no_memory_for_long(opened: _Opened) -> None:
    opened.read(*map(str, range(10)))
    assert opened.in_memory() == {"8", "9"}
    assert len(opened.stores) == 10


def test_stores_in_use_keep_their_memory_whoever_reads_all_others(opened: _Opened) -> None:
    in_use = ("0", "1", "2", "3")
    opened.read(*in_use, *in_use)
    opened.read(*map(str, range(4, 20)))
    assert opened.in_memory() == {*in_use, "18", "19"}


def test_no_more_than_a_quarter_of_the_open_stores_keep_their_memory(opened: _Opened) -> None:
    everyone = [str(number) for number in range(30)]
    opened.read(*everyone, *everyone, *everyone)
    assert opened.in_memory() == {str(number) for number in range(22, 30)}
    assert len(opened.stores) == 30


def test_idle_stores_are_closed_first(opened: _Opened) -> None:
    opened.read("0", "0", "1")
    opened.read(*map(str, range(2, 40)))
    assert len(opened.stores) == 32
    assert "0" in opened.stores
    assert "1" not in opened.stores
    assert opened.in_memory() == {"0", "38", "39"}


def test_a_discarded_store_is_closed_in_whatever_state_it_was(opened: _Opened) -> None:
    opened.read("0", "0", "1", "2", "3")
    for did in ("0", "1", "3"):
        opened.stores.discard(did)
        assert did not in opened.stores
    assert len(opened.stores) == 1


async def test_a_store_that_was_idle_reads_and_commits_as_before(
    store: ActorStore, key: K256PrivateKey
) -> None:
    did = f"did:plc:{0:024}"
    await store.create(did, key, ActorStoreTransactor.create_repo)
    for number in range(1, 4):
        await commit(store, did, [post(str(number))])
        before = await store.read(did, contents)
        store.open_stores.get(did).db.release_memory()
        assert await store.read(did, contents) == before
        assert len(before) == number
        store.open_stores.get(did).db.release_memory()


def test_the_number_of_open_stores_follows_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (1_000_000, 1_000_000))
    monkeypatch.setattr("actor_store.open_stores.memory_bytes", lambda: _GIB)
    assert max_open_stores(30_000) == 2_048
    assert max_open_stores(30_000, processes=4) == 512
    assert max_open_stores(DEFAULT_MAX_OPEN) == DEFAULT_MAX_OPEN
    assert open_stores_by_memory(16 * _GIB) > 30_000
    assert open_stores_by_memory(1_000_000) == 4
