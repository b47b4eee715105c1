"""Our files and Litestream's: each reads what the other has written, to the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pds.replication.ltx.applying import apply_changes, restore_database
from pds.replication.ltx.merging import merge
from pds.replication.ltx.planning import plan_continuation, plan_restore
from pds.replication.ltx.reading import verify
from tests.pds.replication.ltx.conftest import Database
from tests.pds.replication.ltx.made import up_to
from tests.pds.replication.real_litestream import (
    Litestream,
    list_files,
    restore,
    sources,
    stored_files,
)


@pytest.mark.parametrize("page_bytes", [512, 4096, 65536])
def test_a_restore_gives_the_bytes_that_litestream_gives(
    litestream: Litestream, replica: Path, tmp_path: Path, page_bytes: int
) -> None:
    database = Database(tmp_path / "a.sqlite", litestream, page_bytes=page_bytes)
    database.live_through_much()
    files = stored_files(replica)
    plan = plan_restore(files)
    assert plan is not None
    assert (plan.missing, plan.starts_anew) == (None, True)
    assert len(plan.files) == len(files) >= 15
    applied = restore_database(sources(replica, plan.files), tmp_path / "ours")
    ours = (tmp_path / "ours").read_bytes()
    assert ours == restore(database.url, tmp_path / "theirs")
    assert (applied.last, applied.size) == (plan.last, len(ours))


def test_every_transaction_can_be_restored_as_litestream_restores_it(
    litestream: Litestream, replica: Path, tmp_path: Path
) -> None:
    database = Database(tmp_path / "a.sqlite", litestream)
    database.live_through_much()
    files = stored_files(replica)
    for last in range(1, max(file.name.last for file in files) + 1, 3):
        plan = plan_restore(up_to(files, last))
        assert plan is not None
        ours = tmp_path / f"ours-{last}"
        restore_database(sources(replica, plan.files), ours)
        theirs = restore(database.url, tmp_path / "theirs", "-txid", f"{last:016x}")
        assert ours.read_bytes() == theirs


def test_a_database_goes_on_from_where_it_is(
    litestream: Litestream, replica: Path, tmp_path: Path
) -> None:
    database = Database(tmp_path / "a.sqlite", litestream)
    database.live_through_much()
    files = stored_files(replica)
    newest = max(file.name.last for file in files)
    for stop in (1, newest // 2, newest - 1):
        path = tmp_path / f"from-{stop}"
        first = plan_restore(up_to(files, stop))
        assert first is not None
        restore_database(sources(replica, first.files), path)
        rest = plan_continuation(files, stop)
        assert rest is not None
        assert not rest.starts_anew
        applied = apply_changes(sources(replica, rest.files), path, after=stop)
        assert applied.last == newest
        assert path.read_bytes() == restore(database.url, tmp_path / "theirs")


def test_litestream_restores_what_we_have_merged(
    litestream: Litestream, replica: Path, tmp_path: Path
) -> None:
    database = Database(tmp_path / "a.sqlite", litestream)
    database.live_through_much()
    before = restore(database.url, tmp_path / "before")
    files = stored_files(replica)
    newest = len(files)
    for level, first, last in ((1, 2, 9), (1, 10, newest - 2), (9, 1, newest - 1)):
        chosen = [file for file in files if first <= file.name.first <= last]
        path = replica / f"a.sqlite/ltx/{level}/{first:016x}-{last:016x}.ltx"
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as target:
            header, size = merge(sources(replica, chosen), target)
        assert (header.first, header.last, size) == (first, last, path.stat().st_size)
    for file in files[:-1]:
        (replica / file.path).unlink()
    assert set(list_files(database.url)) == {
        (0, newest, newest),
        (1, 2, 9),
        (1, 10, newest - 2),
        (9, 1, newest - 1),
    }
    assert before == restore(database.url, tmp_path / "after")
    (replica / f"a.sqlite/ltx/9/{1:016x}-{newest - 1:016x}.ltx").unlink()
    database.insert(7)
    # It goes on by what it has beside the database and by the newest file of level 0.
    assert database.sync() == newest + 1


def test_what_litestream_writes_anew_has_every_page(
    litestream: Litestream, replica: Path, tmp_path: Path
) -> None:
    """Where it has lost track of a database, its next increment is a whole database."""
    database = Database(tmp_path / "a.sqlite", litestream)
    database.live_through_much()
    litestream.unregister(database.path)
    database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    database.insert(10)
    complete = database.sync()
    database.insert(10)
    newest = database.sync()
    files = stored_files(replica)
    whole = next(file for file in files if file.name.last == complete)
    assert complete > 1
    with_gap = plan_restore(files, damaged={files[3].path})
    assert with_gap is not None
    assert with_gap.missing == (files[3].name.first, newest)
    healed = plan_restore(files, damaged={files[3].path}, complete={whole.path})
    assert healed is not None
    assert (healed.files[0], healed.missing) == (whole, None)
    restore_database(sources(replica, healed.files), tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes() == restore(database.url, tmp_path / "theirs")
    assert verify(sources(replica, [whole])[0]).first == complete
