"""An actor store in a temporary directory, and an actor in it."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from actor_store.schema import migrate_store
from actor_store.store import ActorStore
from database.connection import Database
from database.opening import open_database
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A database of one actor, without the store around it."""
    database = open_database(tmp_path / "store.sqlite")
    migrate_store(database)
    yield database
    database.close()


@pytest.fixture
def layout(tmp_path: Path) -> ActorLayout:
    return ActorLayout(tmp_path / "actors")


@pytest.fixture
def blob_store(tmp_path: Path) -> DiskBlobStore:
    return DiskBlobStore(tmp_path / "blobs", tmp_path / "blobs" / "tempt")


@pytest.fixture
def clock() -> TidClock:
    micros = itertools.count(1_700_000_000_000_000, 1_000)
    return TidClock(lambda: next(micros), 7)


@pytest.fixture
async def store(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock
) -> AsyncIterator[ActorStore]:
    """A store without actors."""
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    yield store
    await store.close()


@pytest.fixture
def key() -> K256PrivateKey:
    return K256PrivateKey.from_bytes(bytes(31) + b"\x07")


@pytest.fixture
async def actors(store: ActorStore, key: K256PrivateKey) -> ActorStore:
    """A store in which `DID` has an empty repo."""
    await store.create(DID, key, lambda actor: actor.create_repo())
    return store
