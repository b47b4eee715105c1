"""Deleted accounts leave the replica after the retention, and not before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actor_store.layout import ActorLayout
from pds.replication.ledger.ledger import Ledger
from pds.replication.ledger.rows import Mark, Settled
from pds.replication.litestream.local_state import state_directory
from pds.replication.replica import names
from pds.replication.replica.file_place import FilePlace
from pds.replication.syncing.deletions import Deletions, remove_leftovers
from tests.pds.replication.ledger.rows import find_row
from tests.pds.replication.small_server import did_of

GONE, BACK, HERE = did_of(1), did_of(2), did_of(3)
_RETENTION_S = 100.0


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "replication.sqlite")
    ledger.actors.mark(Mark(did, 1, 1) for did in (GONE, BACK, HERE))
    ledger.actors.settle(Settled(did, 3, 2, 7) for did in (GONE, BACK, HERE))
    ledger.actors.mark_deleted((GONE, BACK), now_ms=1_000_000)
    yield ledger
    ledger.close()


@pytest.fixture
def layout(tmp_path: Path) -> ActorLayout:
    layout = ActorLayout(tmp_path / "actors")
    for did in (BACK, HERE):
        layout.directory(did).mkdir(parents=True)
        layout.store(did).write_bytes(b"store")
    return layout


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    root = tmp_path / "replica"
    for did in (GONE, BACK, HERE):
        for level in "09":
            directory = root / names.actor_database(did) / "ltx" / level
            directory.mkdir(parents=True)
            (directory / "0000000000000001-0000000000000001.ltx").write_bytes(b"pages")
    return root


def left(replica: Path) -> set[str]:
    """The DIDs that have files in the replica."""
    return {path.parents[3].name for path in replica.rglob("*.ltx")}


async def test_files_go_after_the_retention(
    ledger: Ledger, layout: ActorLayout, replica: Path
) -> None:
    now_s = [1_000.0 + _RETENTION_S - 1]
    place = FilePlace(replica)
    deletions = Deletions(layout, ledger, place, retention_s=_RETENTION_S, clock=lambda: now_s[0])
    assert await deletions.remove_expired() == 0
    assert left(replica) == {GONE, BACK, HERE}
    now_s[0] += 1
    assert await deletions.remove_expired() == 1
    await place.close()
    assert left(replica) == {BACK, HERE}
    assert deletions.files_deleted == 2
    assert find_row(ledger, GONE) is None
    assert find_row(ledger, HERE) is not None


async def test_one_whose_key_is_there_stays(
    ledger: Ledger, layout: ActorLayout, replica: Path
) -> None:
    layout.directory(GONE).mkdir(parents=True)
    layout.key(GONE).write_bytes(b"the last copy")
    place = FilePlace(replica)
    deletions = Deletions(layout, ledger, place, retention_s=0.0)
    assert await deletions.remove_expired() == 0
    await place.close()
    assert left(replica) == {GONE, BACK, HERE}


def test_leftovers_of_litestream_go_with_the_store(layout: ActorLayout) -> None:
    store = layout.store(GONE)
    (state_directory(store) / "ltx" / "0").mkdir(parents=True)
    remove_leftovers(store)
    assert not store.parent.exists()


def test_a_key_without_a_store_stays(layout: ActorLayout) -> None:
    store = layout.store(GONE)
    state_directory(store).mkdir(parents=True)
    layout.key(GONE).write_bytes(b"the last copy")
    remove_leftovers(store)
    assert [path.name for path in store.parent.iterdir()] == ["key"]


def test_nothing_is_removed_beside_a_store(layout: ActorLayout) -> None:
    state_directory(layout.store(HERE)).mkdir()
    remove_leftovers(layout.store(HERE))
    assert state_directory(layout.store(HERE)).exists()
