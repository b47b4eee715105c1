"""Single accounts, to look at them or to put them in the place of those of a server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.report import Lack
from tests.pds.replication.restore.origin import Origin, contents, target_in
from tests.reference.data import unpack


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="name the accounts"):
        RestoreOptions(services=False)
    with pytest.raises(ValueError, match="1 to 64"):
        RestoreOptions(parallelism=0)


async def test_only_the_named_accounts_come_back(origin: Origin, tmp_path: Path) -> None:
    to = tmp_path / "restored"
    dids = frozenset((origin.did("alice"), origin.did("bob")))
    report = await origin.restore(to, dids=dids, services=False).run()
    assert report.is_complete
    assert {path.name for path in to.glob("actors/??/*")} == dids
    assert {path.name for path in to.iterdir()} == {"actors", "blobs", "holdfast.lock"}
    blobs = [path for path in origin.blobs() if set(path.parts) & dids]
    assert report.totals.blobs == len(blobs) > 0


async def test_an_account_that_the_replica_does_not_know_is_listed(
    origin: Origin, tmp_path: Path
) -> None:
    dids = frozenset((origin.did("alice"), "did:plc:unknown"))
    report = await origin.restore(tmp_path / "restored", dids=dids, services=False).run()
    assert [(one.kind, one.subject) for one in report.findings] == [
        (Lack.UNKNOWN, "did:plc:unknown")
    ]
    assert "pds account list" in "\n".join(report.lines())


async def test_the_commands_in_the_report_put_an_account_in_its_place(
    origin: Origin, tmp_path: Path
) -> None:
    live = target_in(unpack(tmp_path / "live server"))
    did = origin.did("alice")
    live.layout.store(did).write_bytes(b"noise")
    before = live.layout.key(did).read_bytes()
    to = tmp_path / "restored here"
    report = await origin.restore(
        to, dids=frozenset((did,)), services=False, keys=False, live=live
    ).run()
    commands = [line.strip() for line in report.next_steps if line.startswith("  ")]
    subprocess.run(  # noqa: ASYNC221, S603 (quick; what an operator pastes)
        ["/bin/sh", "-e", "-c", "\n".join(commands)],
        check=True,
        timeout=30,
    )
    assert contents(live.layout.store(did)) == contents(origin.store("alice"))
    assert live.layout.key(did).read_bytes() == before
    assert (live.directory / "holdfast.check").exists()


async def test_many_accounts_are_found_in_one_listing(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pds.replication.restore.options._FEW", 1)
    dids = frozenset((origin.did("alice"), origin.did("bob")))
    to = tmp_path / "restored"
    report = await origin.restore(to, dids=dids, services=False).run()
    assert report.is_complete
    assert {path.name for path in to.glob("actors/??/*")} == dids


async def test_blobs_come_back_for_an_account_whose_database_does_not(
    origin: Origin, tmp_path: Path
) -> None:
    """The database may yet come from another backup."""
    did = origin.did("alice")
    shutil.rmtree(origin.replica / origin.database("alice"))
    to = tmp_path / "restored"
    report = await origin.restore(to).run()
    assert [one.kind for one in report.findings] == [Lack.NO_DATABASE]
    assert {path.name for path in (to / "blobs" / did).iterdir()} == {
        path.name for path in (origin.data / "blobs" / did).iterdir()
    }
