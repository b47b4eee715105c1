"""Actors on a full disk: all can be read, and written again as soon as there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from actor_store.opening import StoreSettings
from actor_store.reader import ActorStoreReader
from actor_store.store import ActorStore
from database.errors import DatabaseFull
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID, OTHER_DID, collect, commit, contents, post
from tests.small_disk import filled, small_disk

WEB_DID = "did:web:localhost%3A3000"
"""Its percent sign is in the path of its files."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", size_mb=6) as mounted:
        yield mounted


@pytest.fixture
def layout(disk: Path) -> ActorLayout:
    return ActorLayout(disk / "actors")


@pytest.fixture
async def actors(actors: ActorStore, key: K256PrivateKey) -> ActorStore:
    """Three actors with a post each."""
    for did in (OTHER_DID, WEB_DID):
        await actors.create(did, key, lambda actor: actor.create_repo())
    for did in (DID, OTHER_DID, WEB_DID):
        await commit(actors, did, [post("one")])
    return actors


@pytest.fixture
async def reopened(
    actors: ActorStore, layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock
) -> AsyncIterator[ActorStore]:
    """The actors as a freshly started server finds them: none is open."""
    await actors.close()
    store = ActorStore(
        layout=layout, blob_store=blob_store, clock=clock, settings=StoreSettings(max_open=1)
    )
    yield store
    await store.close()


def blocks(actor: ActorStoreReader) -> Iterator[bytes]:
    head = actor.repo.head()
    yield actor.repo.get_block(head.cid)


@pytest.mark.parametrize("did", [DID, WEB_DID])
async def test_actors_that_are_not_open_can_be_read(
    reopened: ActorStore, disk: Path, did: str
) -> None:
    with filled(disk):
        for _ in range(2):
            assert list(await reopened.read(did, contents)) == ["app.bsky.feed.post/one"]
            assert list(await reopened.read(OTHER_DID, contents)) == ["app.bsky.feed.post/one"]
        assert list(await reopened.read_in_thread(did, contents)) == ["app.bsky.feed.post/one"]
        assert await collect(reopened.stream(did, blocks))


async def test_many_actors_can_be_read_and_keep_no_files_open(
    actors: ActorStore,
    layout: ActorLayout,
    blob_store: DiskBlobStore,
    key: K256PrivateKey,
    clock: TidClock,
    disk: Path,
) -> None:
    dids = [f"did:plc:{n:024}" for n in range(24)]
    for did in dids:
        await actors.create(did, key, lambda actor: actor.create_repo())
    await actors.close()
    reopened = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    before = open_files()
    with filled(disk):
        for did in dids:
            await reopened.read(did, contents)
        assert len(reopened.open_stores) == 0
        assert open_files() - before <= 16 * 3
    await reopened.close()
    assert open_files() <= before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_what_a_crash_has_left_in_a_wal_is_read(
    actors: ActorStore,
    layout: ActorLayout,
    blob_store: DiskBlobStore,
    clock: TidClock,
    disk: Path,
) -> None:
    path = layout.store(DID)
    wal = path.with_name("store.sqlite-wal")
    files = {path: path.read_bytes(), wal: wal.read_bytes()}
    assert files[wal]
    await actors.close()
    for file, content in files.items():
        file.write_bytes(content)
    reopened = ActorStore(layout=layout, blob_store=blob_store, clock=clock)
    with filled(disk):
        assert list(await reopened.read(DID, contents)) == ["app.bsky.feed.post/one"]
    await commit(reopened, DID, [post("two")])
    assert len(await reopened.read(DID, contents)) == 2
    await reopened.close()


async def test_writes_are_refused_until_there_is_room(reopened: ActorStore, disk: Path) -> None:
    with filled(disk):
        await reopened.read(DID, contents)
        with pytest.raises(DatabaseFull, match="free space on the disk"):
            await commit(reopened, DID, [post("two")])
        with pytest.raises(DatabaseFull):
            await reopened.transact_in_thread(DID, lambda actor: actor.commit([post("two")]))
        assert list(await reopened.read(DID, contents)) == ["app.bsky.feed.post/one"]
    await commit(reopened, DID, [post("two")])
    assert len(await reopened.read(DID, contents)) == 2
    assert len(reopened.open_stores) == 1


async def test_an_export_begun_on_a_full_disk_delays_writes_and_breaks_none(
    reopened: ActorStore, disk: Path
) -> None:
    """SQLite lets no connection of a process write while one of them cannot."""

    def parts(actor: ActorStoreReader) -> Iterator[bytes]:
        for _ in range(3):
            yield from blocks(actor)

    with filled(disk):
        export = reopened.stream(DID, parts)
        await anext(export)
    with pytest.raises(DatabaseFull):
        await commit(reopened, DID, [post("two")])
    assert list(await reopened.read(DID, contents)) == ["app.bsky.feed.post/one"]
    assert len(await collect(export)) > 0
    # The thread closes the connection a moment after the last part.
    await reopened.read_in_thread(DID, contents)
    for _ in range(100):
        try:
            await commit(reopened, DID, [post("two")])
            break
        except DatabaseFull:
            await reopened.read_in_thread(OTHER_DID, contents)
    assert len(await reopened.read(DID, contents)) == 2
