"""Actors as a whole: made, opened, damaged, deleted."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actor_store.blob_store.disk import DiskBlobStore
from actor_store.errors import ActorStoreDamaged, InvalidStoreName, RepoExists, RepoNotFound
from actor_store.layout import ActorLayout
from actor_store.long_transaction import LongTransaction
from actor_store.open_stores import max_open_stores
from actor_store.opening import StoreSettings
from actor_store.store import ActorStore
from actor_store.transactor import ActorStoreTransactor
from database import retry
from database.errors import DatabaseBusy, DatabaseOutOfFiles, SchemaTooNew
from database.open_files import OpenFiles, OutOfFiles, count_open_files
from database.opening import open_database
from repo.commit import CommitData
from repo.keys import K256PrivateKey
from repo.tid import TidClock
from tests.actor_store.support import DID, OTHER_DID, POST, collect, commit, contents, post


def _create_repo(actor: ActorStoreTransactor) -> object:
    return actor.create_repo()


def _files(directory: Path) -> list[str]:
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


async def test_new_actor_has_the_reference_layout(
    store: ActorStore, layout: ActorLayout, key: K256PrivateKey
) -> None:
    await store.create(DID, key, _create_repo)
    # 69 are the first hex digits of the DID's SHA-256.
    assert _files(layout.actors_dir) == [f"69/{DID}/key", f"69/{DID}/store.sqlite"]
    assert layout.key(DID).read_bytes() == key.export()
    assert layout.key(DID).stat().st_mode & 0o777 == 0o600
    assert store.exists(DID)
    assert list(store.iter_dids()) == [DID]


async def test_creating_an_actor_twice_leaves_the_first_alone(
    actors: ActorStore, layout: ActorLayout, key: K256PrivateKey
) -> None:
    before = _files(layout.actors_dir)
    with pytest.raises(RepoExists):
        await actors.create(DID, K256PrivateKey.generate(), _create_repo)
    assert layout.key(DID).read_bytes() == key.export()
    assert _files(layout.actors_dir) == before


async def test_two_creations_at_once_make_one_actor(store: ActorStore, layout: ActorLayout) -> None:
    keys = [K256PrivateKey.generate() for _ in range(4)]
    results = await asyncio.gather(
        *(store.create(DID, key, _create_repo) for key in keys), return_exceptions=True
    )
    failed = [result for result in results if isinstance(result, RepoExists)]
    assert len(failed) == 3
    assert await store.read(DID, contents) == {}
    winner = next(k for k, r in zip(keys, results, strict=True) if not isinstance(r, Exception))
    assert store.key(DID).did_key == winner.did_key
    assert len(_files(layout.actors_dir)) == 4  # with -wal and -shm of the open database


async def test_failed_creation_leaves_nothing(store: ActorStore, layout: ActorLayout) -> None:
    def fail(actor: ActorStoreTransactor) -> None:
        actor.create_repo()
        raise LookupError

    with pytest.raises(LookupError):
        await store.create(DID, K256PrivateKey.generate(), fail)
    assert _files(layout.actors_dir) == []
    assert [p.name for p in layout.directory(DID).parent.iterdir()] == []
    assert not store.exists(DID)
    await store.create(DID, K256PrivateKey.generate(), _create_repo)


async def test_destroyed_actor_is_gone_with_key_and_blobs(
    actors: ActorStore, layout: ActorLayout, blob_store: DiskBlobStore, tmp_path: Path
) -> None:
    await actors.read(DID, contents)
    actors.key(DID)
    await actors.destroy(DID)
    await actors.destroy(DID)
    assert _files(tmp_path) == []
    assert layout.directory(DID).parent.is_dir()
    assert not actors.exists(DID)
    with pytest.raises(RepoNotFound):
        await actors.read(DID, contents)
    with pytest.raises(RepoNotFound):
        actors.key(DID)


@pytest.mark.parametrize("mark", [".new", ".old"])
async def test_leftovers_of_a_crash_are_no_actors_and_are_removed(
    actors: ActorStore, layout: ActorLayout, mark: str
) -> None:
    leftover = layout.directory(OTHER_DID)
    shutil.copytree(layout.directory(DID), leftover)
    (leftover / "store.sqlite").rename(leftover / f"store.sqlite{mark}")
    assert list(actors.iter_dids()) == [DID]
    await actors.remove_leftovers()
    assert not leftover.exists()
    assert await actors.read(DID, contents) == {}


async def test_key_of_a_lost_database_is_no_leftover(
    actors: ActorStore, layout: ActorLayout
) -> None:
    lost = layout.directory(OTHER_DID)
    shutil.copytree(layout.directory(DID), lost)
    (lost / "store.sqlite").unlink()
    await actors.remove_leftovers()
    assert (lost / "key").exists()


async def test_directories_are_not_renamed_while_actors_come_and_go(
    actors: ActorStore, layout: ActorLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[Path] = []
    rename = Path.rename

    def watch(path: Path, target: Path) -> Path:
        if path.is_dir():
            renamed.append(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", watch)
    await actors.create(OTHER_DID, K256PrivateKey.generate(), _create_repo)
    await actors.destroy(OTHER_DID)
    assert not layout.directory(OTHER_DID).exists()
    assert renamed == []


async def test_did_can_come_back_with_another_key(actors: ActorStore) -> None:
    await commit(actors, DID, [post("a")])
    await actors.destroy(DID)
    fresh = K256PrivateKey.generate()
    await actors.create(DID, fresh, _create_repo)
    assert actors.key(DID).did_key == fresh.did_key
    await commit(actors, DID, [post("b")])
    assert list(await actors.read(DID, contents)) == [f"{POST}/b"]


async def test_unknown_actor_is_not_found_and_not_made(
    actors: ActorStore, layout: ActorLayout
) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: actors.read(OTHER_DID, contents),
        lambda: actors.transact(OTHER_DID, lambda actor: None),
        lambda: actors.read_in_thread(OTHER_DID, contents),
        lambda: anext(actors.stream(OTHER_DID, lambda actor: actor.repo.iter_car())),
    ]
    for call in calls:
        with pytest.raises(RepoNotFound):
            await call()
    assert not layout.directory(OTHER_DID).exists()


@pytest.mark.parametrize(
    "did",
    [
        "",
        ".",
        "..",
        "did:plc:../../etc",
        "did:web:a/../../b",
        "did:web:a\\b",
        "/did:plc:a",
        "../did:plc:a",
        ".did:plc:a",
        "did:plc:a\0",
        "did:plc:a\n",
        "did:plc:",
        "did:plc:é",
        "did:web:" + "a" * 300,
    ],
)
async def test_names_that_lead_elsewhere_are_refused(
    store: ActorStore, tmp_path: Path, did: str
) -> None:
    for method in (store.key, store.exists, store.keys.reserve, store.keys.find_reserved):
        if did or method != store.keys.reserve:
            with pytest.raises(InvalidStoreName):
                method(did)
    with pytest.raises(InvalidStoreName):
        await store.create(did, K256PrivateKey.generate(), _create_repo)
    with pytest.raises(InvalidStoreName):
        await store.read(did, contents)
    with pytest.raises(InvalidStoreName):
        await store.destroy(did)
    assert _files(tmp_path) == []


async def test_noise_in_one_database_harms_that_actor_only(
    actors: ActorStore, layout: ActorLayout, key: K256PrivateKey
) -> None:
    await actors.create(OTHER_DID, key, _create_repo)
    layout.store(DID).write_bytes(os.urandom(20_000))
    for _ in range(2):
        with pytest.raises(ActorStoreDamaged, match=r"store\.sqlite.*restore") as caught:
            await actors.read(DID, contents)
        assert caught.value.did == DID
    with pytest.raises(ActorStoreDamaged):
        await commit(actors, DID, [post("a")])
    with pytest.raises(ActorStoreDamaged):
        await actors.read_in_thread(DID, contents)
    await commit(actors, OTHER_DID, [post("a")])


async def test_actor_is_served_again_once_its_database_is_restored(
    actors: ActorStore, layout: ActorLayout, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copy(layout.store(DID), backup)
    layout.store(DID).write_bytes(os.urandom(20_000))
    with pytest.raises(ActorStoreDamaged):
        await actors.read(DID, contents)
    shutil.copy(backup, layout.store(DID))
    assert await actors.read(DID, contents) == {}


async def test_missing_tree_node_is_damage_not_a_missing_record(actors: ActorStore) -> None:
    data = await commit(actors, DID, [post("a")])
    await actors.transact(DID, lambda actor: actor.repo.delete_blocks([data.data]))
    actors.nodes.clear()
    with pytest.raises(ActorStoreDamaged):
        await commit(actors, DID, [post("b")])
    with pytest.raises(ActorStoreDamaged):
        await actors.read(DID, lambda actor: actor.repo.record_proof(POST, "a"))


async def test_missing_or_broken_signing_key_is_damage(
    actors: ActorStore, layout: ActorLayout
) -> None:
    layout.key(DID).write_bytes(b"short")
    with pytest.raises(ActorStoreDamaged):
        actors.key(DID)
    layout.key(DID).unlink()
    with pytest.raises(ActorStoreDamaged, match="is missing"):
        await commit(actors, DID, [post("a")])
    assert await actors.read(DID, contents) == {}


async def test_database_of_a_newer_server_is_refused_untouched(
    actors: ActorStore, layout: ActorLayout
) -> None:
    db = open_database(layout.store(DID))
    db.run("INSERT INTO kysely_migration (name, timestamp) VALUES ('002', '')")
    db.close()
    before = layout.store(DID).read_bytes()
    with pytest.raises(SchemaTooNew):
        await actors.read(DID, contents)
    assert layout.store(DID).read_bytes() == before


async def test_commits_wait_for_another_connection_and_lose_nothing(
    actors: ActorStore, layout: ActorLayout
) -> None:
    other = open_database(layout.store(DID))
    with other.transaction():
        tasks = [asyncio.ensure_future(commit(actors, DID, [post(f"{n}")])) for n in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        assert await actors.read(DID, contents) == {}
    results = await asyncio.gather(*tasks)
    assert len(await actors.read(DID, contents)) == 5
    revs = sorted(data.rev for data in results)
    assert sorted(filter(None, (data.since for data in results)))[1:] == revs[:-1]
    other.close()


async def test_busy_actor_does_not_delay_another(
    actors: ActorStore, layout: ActorLayout, key: K256PrivateKey
) -> None:
    await actors.create(OTHER_DID, key, _create_repo)
    other = open_database(layout.store(DID))
    with other.transaction():
        task = asyncio.ensure_future(commit(actors, DID, [post("a")]))
        await asyncio.sleep(0)
        await commit(actors, OTHER_DID, [post("a")])
        assert not task.done()
    await task
    other.close()


async def test_actor_that_stays_locked_is_reported_busy(
    actors: ActorStore, layout: ActorLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELAYS_MS", (0, 0))
    other = open_database(layout.store(DID))
    with other.transaction(), pytest.raises(DatabaseBusy):
        await commit(actors, DID, [post("a")])
    other.close()
    await commit(actors, DID, [post("a")])


async def test_work_in_threads_and_on_the_loop_do_not_lose_each_others_commits(
    actors: ActorStore,
) -> None:
    async def in_thread(n: int) -> CommitData | None:
        return await actors.transact_in_thread(DID, lambda actor: actor.commit([post(f"t{n}")]))

    await asyncio.gather(
        *(in_thread(n) for n in range(6)),
        *(commit(actors, DID, [post(f"l{n}")]) for n in range(6)),
    )
    assert len(await actors.read(DID, contents)) == 12
    assert len(await actors.read_in_thread(DID, contents)) == 12


@contextmanager
def _held_commit(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Delay the return of long work's COMMIT until the block ends; set the event once committed."""
    made, may_end, commit = threading.Event(), threading.Event(), LongTransaction.commit

    def held(work: LongTransaction[object]) -> None:
        commit(work)
        made.set()
        may_end.wait(20)

    monkeypatch.setattr(LongTransaction, "commit", held)
    try:
        yield made
    finally:
        may_end.set()


async def test_nobody_writes_between_the_commit_of_long_work_and_its_caller(
    actors: ActorStore, key: K256PrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    await actors.create(OTHER_DID, key, _create_repo)
    order: list[str] = []

    async def long_work() -> None:
        await actors.transact_in_thread(DID, lambda actor: actor.commit([post("long")]))
        order.append("long")

    async def write() -> None:
        await commit(actors, DID, [post("short")])
        order.append("short")

    with _held_commit(monkeypatch) as made:
        long = asyncio.create_task(long_work())
        assert await asyncio.to_thread(made.wait, 10)
        short = asyncio.create_task(write())
        # The event loop goes on, for others and for readers.
        await commit(actors, OTHER_DID, [post("other")])
        assert len(await actors.read(DID, contents)) == 1
        assert order == []
    await asyncio.gather(long, short)
    assert order == ["long", "short"]


async def test_who_is_cancelled_during_the_commit_of_long_work_learns_that_it_is_done(
    actors: ActorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[CommitData | None] = []

    async def long_work() -> None:
        told.append(
            await actors.transact_in_thread(DID, lambda actor: actor.commit([post("long")]))
        )
        await asyncio.sleep(20)

    with _held_commit(monkeypatch) as made:
        long = asyncio.create_task(long_work())
        assert await asyncio.to_thread(made.wait, 10)
        long.cancel()
        await asyncio.sleep(0)
    await asyncio.wait((long,))
    assert long.cancelled()
    assert len(told) == len(await actors.read(DID, contents)) == 1


async def test_few_handles_serve_many_actors(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, key: K256PrivateKey
) -> None:
    store = ActorStore(
        layout=layout, blob_store=blob_store, clock=clock, settings=StoreSettings(max_open=2)
    )
    dids = [f"did:plc:{n:024}" for n in range(6)]
    for did in dids:
        await store.create(did, key, _create_repo)
    blocker = open_database(layout.store(dids[0]))
    with blocker.transaction():
        # This one waits; those after it push its handle out meanwhile.
        waiting = asyncio.ensure_future(commit(store, dids[0], [post("a")]))
        await asyncio.sleep(0)
        for number in range(3):
            for did in dids[1:]:
                await commit(store, did, [post(f"{number}")])
                assert len(store.open_stores) <= 2
        assert dids[0] not in store.open_stores
    await waiting
    blocker.close()
    for did in dids:
        assert len(await store.read(did, contents)) == (1 if did == dids[0] else 3)
    await store.close()


def test_limit_of_open_files_limits_open_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (1024, 4096))
    assert max_open_stores(30_000) == 309
    assert max_open_stores(100) == 100


async def test_open_stores_never_use_up_the_limit_of_open_files(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, key: K256PrivateKey
) -> None:
    # A room of 100 files for stores, which would take 160: four each, with that of the thread.
    files = OpenFiles(limit=count_open_files() + 100 + OpenFiles().spare)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock, files=files)
    dids = [f"did:plc:{n:024}" for n in range(40)]
    for did in dids:
        await store.create(did, key, _create_repo)
    most = 0
    for did in dids * 2:
        assert await store.read(did, contents) == {}
        assert await collect(store.stream(did, lambda actor: actor.repo.iter_car(since=None)))
        most = max(most, count_open_files())
    assert most <= files.limit
    assert len(store.open_stores) > 4
    await store.close()


async def test_files_that_others_take_are_given_back_by_open_stores(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, key: K256PrivateKey
) -> None:
    taken = 0
    files = OpenFiles(limit=1_000, count=lambda: taken)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock, files=files)
    dids = [f"did:plc:{n:024}" for n in range(20)]
    for did in dids:
        await store.create(did, key, _create_repo)
        await store.read(did, contents)
    assert len(store.open_stores) == 20
    taken = 1_000 - files.spare
    files.note_opened(taken)
    with pytest.raises(DatabaseOutOfFiles, match="limit of open files"):
        store.open_stores.get("did:plc:" + "z" * 24)
    assert len(store.open_stores) < 20
    await store.close()


async def test_some_stores_stay_open_whatever_others_take(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, key: K256PrivateKey
) -> None:
    taken = 0
    files = OpenFiles(limit=1_000, count=lambda: taken)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock, files=files)
    await store.create(DID, key, _create_repo)
    taken = 1_000 - files.spare - 10
    files.note_opened(taken)
    assert not files.has_room(1), "what is left is for stores"
    assert await store.read(DID, contents) == {}
    await store.close()


async def test_a_stream_is_refused_where_no_file_is_left(
    actors: ActorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.open_files.WAIT_S", 0.02)
    monkeypatch.setattr(actors._files, "_count", lambda: actors._files.limit)
    actors._files.note_opened(actors._files.limit)
    with pytest.raises(OutOfFiles, match="LimitNOFILE"):
        await collect(actors.stream(DID, lambda actor: actor.repo.iter_car(since=None)))
    monkeypatch.undo()
    assert await collect(actors.stream(DID, lambda actor: actor.repo.iter_car(since=None)))


async def test_closing_writes_everything_into_the_databases(
    actors: ActorStore, layout: ActorLayout
) -> None:
    await commit(actors, DID, [post("a")])
    await actors.close()
    await actors.close()
    assert [p.name for p in layout.directory(DID).iterdir()] != []
    assert not layout.store(DID).with_name("store.sqlite-wal").exists()


async def test_wal_is_left_to_litestream_when_asked(
    layout: ActorLayout, blob_store: DiskBlobStore, clock: TidClock, key: K256PrivateKey
) -> None:
    settings = StoreSettings(wal_autocheckpoint=None)
    store = ActorStore(layout=layout, blob_store=blob_store, clock=clock, settings=settings)
    await store.create(DID, key, _create_repo)
    size = layout.store(DID).stat().st_size
    for number in range(30):
        await commit(store, DID, [post(f"{number}", "x" * 10_000)])
    await store.read_in_thread(DID, contents)
    await store.close()
    assert layout.store(DID).stat().st_size == size
    assert layout.store(DID).with_name("store.sqlite-wal").stat().st_size > 300_000


@pytest.mark.parametrize("by", ["cancelling", "closing"])
async def test_long_work_ends_when_nobody_waits_for_it(actors: ActorStore, by: str) -> None:
    begun = threading.Event()

    def tell(*_: object) -> None:
        begun.set()

    def count_for_hours(actor: ActorStoreTransactor) -> None:
        db = actor.repo._db
        db.connection.create_scalar_function("tell", tell)
        numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)"
        db.value(f"{numbers} SELECT count(*) FROM n WHERE n > 1 OR tell() IS NULL")

    work = asyncio.create_task(actors.transact_in_thread(DID, count_for_hours))
    assert await asyncio.to_thread(begun.wait, 5)
    if by == "cancelling":
        work.cancel()
        await asyncio.wait((work,))
    async with asyncio.timeout(20):
        await actors.close()
    with pytest.raises(asyncio.CancelledError if by == "cancelling" else DatabaseBusy):
        await work
