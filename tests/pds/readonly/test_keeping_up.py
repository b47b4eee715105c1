"""Several states of one repository, files that change, and disks that fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from database.connection import Database
from database.opening import open_database
from pds.readonly import library, loading
from pds.readonly.catalog import Catalog
from pds.readonly.loading import BadCar, LoadedCar, load_car
from pds.repos.commits import sync_event
from repo.car import CarReader
from repo.cid import Cid
from repo.commit import Commit
from repo.tid import encode_tid
from repo.verify import find_commit
from tests.pds.car.cars import DID, POST, car_of
from tests.pds.conftest import Pds
from tests.pds.readonly.shelves import open_shelf

OLD, NEW = encode_tid(1_700_000_000_000_000, 0), encode_tid(1_700_000_000_000_001, 0)


def state(rev: str) -> bytes:
    """The repository as it was at a rev."""
    return car_of({f"{POST}/a": {"text": rev}}, rev=rev)


@pytest.mark.parametrize(("first", "second"), [(OLD, NEW), (NEW, OLD)])
async def test_of_two_files_the_newer_is_served_whichever_comes_first(
    pds: Pds, tmp_path: Path, first: str, second: str
) -> None:
    (tmp_path / "a.car").write_bytes(state(first))
    (tmp_path / "b.car").write_bytes(state(second))
    with open_shelf(pds.ctx, tmp_path, [tmp_path]) as shelf:
        await shelf.library.update()
        (repo,) = shelf.catalog.repos(limit=9)
        assert repo.rev == NEW
        assert (await pds.get("com.atproto.sync.getLatestCommit", did=DID)).json["rev"] == NEW


async def test_of_two_equal_files_one_is_served_and_the_other_named(
    pds: Pds, tmp_path: Path
) -> None:
    for name in ("a.car", "b.car"):
        (tmp_path / name).write_bytes(state(NEW))
    with open_shelf(pds.ctx, tmp_path, [tmp_path]) as shelf:
        counts = await shelf.library.update()
        assert (counts.loaded, counts.refused) == (1, 1)
        ((_, problem),) = shelf.problems().items()
        assert problem in {f"{name} has the same state of {DID}" for name in ("a.car", "b.car")}


async def test_without_the_newer_file_the_older_has_its_turn_at_once(
    pds: Pds, tmp_path: Path
) -> None:
    (tmp_path / "old.car").write_bytes(state(OLD))
    with open_shelf(pds.ctx, tmp_path, [tmp_path]) as shelf:
        await shelf.library.update()
        (tmp_path / "new.car").write_bytes(state(NEW))
        await shelf.library.update()
        (tmp_path / "new.car").unlink()
        counts = await shelf.library.update()
        assert (counts.removed, counts.loaded) == (1, 1)
        (repo,) = shelf.catalog.repos(limit=9)
        assert repo.rev == OLD


async def test_every_state_is_told_of_once(pds: Pds, tmp_path: Path) -> None:
    before = pds.ctx.sequencer.current_seq
    path = tmp_path / "a.car"
    with open_shelf(pds.ctx, tmp_path, [path]) as shelf:
        for rev in (OLD, OLD, NEW):
            path.write_bytes(state(rev))
            os.utime(path, ns=(1, int(rev == NEW)))
            await shelf.library.update()
    events = pds.ctx.sequencer.current_seq - before
    assert events == 2 * 3


def test_a_file_that_is_replaced_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(state(OLD))

    def find_and_replace(car: CarReader) -> tuple[Cid, Commit]:
        found = find_commit(car)
        path.write_bytes(state(NEW))
        return found

    monkeypatch.setattr(loading, "find_commit", find_and_replace)
    loaded = load_car(path, tmp_path / "a.sqlite")
    assert isinstance(loaded, BadCar)
    assert "has changed while it was read" in loaded.reason


async def test_a_file_that_has_changed_is_loaded_anew(pds: Pds, tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(state(OLD)[:-1])
    with open_shelf(pds.ctx, tmp_path, [path]) as shelf:
        assert (await shelf.library.update()).refused == 1
        path.write_bytes(state(OLD))
        assert (await shelf.library.update()).loaded == 1
        assert (shelf.dids(), shelf.problems()) == ([DID], {})


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    # Its first pages belong to nobody.
    loaded = load_car(Path("/proc/self/mem"), tmp_path / "a.sqlite")
    assert isinstance(loaded, BadCar)
    assert "it cannot be read or loaded: [Errno 5]" in loaded.reason


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_small(path: Path, **more: Any) -> Database:
        db = open_database(path, **more)
        db.run("PRAGMA max_page_count = 60")
        return db

    monkeypatch.setattr(loading, "open_database", open_small)
    path = tmp_path / "a.car"
    path.write_bytes(car_of({f"{POST}/{n}": {"text": f"{n}" + "x" * 3000} for n in range(100)}))
    loaded = load_car(path, tmp_path / "a.sqlite")
    assert isinstance(loaded, BadCar)
    assert "free space" in loaded.reason


async def test_what_nobody_foresaw_costs_one_file_only(
    pds: Pds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_for_one(did: str, **more: Any) -> Any:
        if did == DID:
            raise ZeroDivisionError
        return sync_event(did, **more)

    monkeypatch.setattr(library, "sync_event", fail_for_one)
    (tmp_path / "a.car").write_bytes(state(OLD))
    other = "did:web:example.com"
    (tmp_path / "b.car").write_bytes(car_of(did=other))
    with open_shelf(pds.ctx, tmp_path, [tmp_path]) as shelf:
        counts = await shelf.library.update()
        assert (counts.loaded, counts.refused) == (1, 1)
        assert shelf.dids() == [other]
        assert "ZeroDivisionError" in shelf.problems()["a.car"]


async def test_a_file_that_has_become_another_s_repository_drops_the_first(
    pds: Pds, tmp_path: Path
) -> None:
    path, other = tmp_path / "a.car", "did:web:example.com"
    path.write_bytes(state(OLD))
    with open_shelf(pds.ctx, tmp_path, [path]) as shelf:
        await shelf.library.update()
        path.write_bytes(car_of(did=other))
        await shelf.library.update()
        assert shelf.dids() == [other]
        assert not pds.ctx.actor_store.exists(DID)


async def test_a_repository_outlives_damage_to_its_file_and_goes_with_it(
    pds: Pds, tmp_path: Path
) -> None:
    path = tmp_path / "a.car"
    path.write_bytes(state(OLD))
    with open_shelf(pds.ctx, tmp_path, [path]) as shelf:
        await shelf.library.update()
        path.write_bytes(b"x")
        assert (await shelf.library.update()).refused == 1
        assert shelf.dids() == [DID]
        path.unlink()
        assert (await shelf.library.update()).removed == 1
        assert shelf.dids() == []
        assert not pds.ctx.actor_store.exists(DID)


async def test_what_a_crash_left_of_a_file_that_is_gone_is_dropped(
    pds: Pds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_args: object) -> None:
        raise ZeroDivisionError

    path = tmp_path / "a.car"
    path.write_bytes(state(OLD))
    with open_shelf(pds.ctx, tmp_path, [path]) as shelf:
        with monkeypatch.context() as patch:
            patch.setattr(Catalog, "put_repo", crash)
            await shelf.library.update()
        path.unlink()
        assert (await pds.get("com.atproto.sync.getLatestCommit", did=DID)).status == 200
        await shelf.library.drop_unfinished()
        await shelf.library.look(again=True)
        assert (await pds.get("com.atproto.sync.getLatestCommit", did=DID)).status == 400
    assert not pds.ctx.actor_store.exists(DID)


def test_a_loaded_database_has_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.car").write_bytes(state(OLD))
    loaded = load_car(tmp_path / "a.car", tmp_path / "a.sqlite")
    assert isinstance(loaded, LoadedCar)
    assert Cid.parse(loaded.cid) == Cid.of_dag_cbor(loaded.block)
    assert {path.name for path in tmp_path.iterdir()} <= {"a.car", "a.sqlite", "a.sqlite-read"}
